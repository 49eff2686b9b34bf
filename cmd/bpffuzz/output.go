package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// output is the directory that a run writes. What is in it is whole at any
// moment, and stays when the process is killed.
type output struct {
	dir      string
	claim    *claim
	journal  *journal.Journal // nil without one
	u        *ui
	corpus   *corpusDir
	own      []*corpus.Input // what was in the corpus, as far as it fits the program
	findings *triage.Store
	before   map[string]bool   // keys of findings that an earlier run left
	known    map[string]bool   // keys of findings that are marked as known
	baseline map[string]bool   // keys of findings that another campaign has; nil without one
	fixed    map[string]string // when those that are were fixed, by key
	// unconfirmed are failures that are no findings.
	unconfirmed *triage.Aside
	kept        bool // map state is
	reports     report.Options
	command     string // replays a finding, see report.Options
	started     time.Time
	live        func() *bpf.LiveReport // nil where there is none
	// stored is told of each finding once it is stored; nil where nobody wants to know.
	stored func(f *triage.Finding, path string)

	program string // that it is about

	mu      sync.Mutex
	found   []*triage.Finding // of this run
	foundAt time.Time         // of the last of these
}

// openOutput opens or makes the directory for who, and keeps it until it is closed.
// Reports say how findings are written, but for their places.
func openOutput(dir string, who owner, reports report.Options, u *ui) (*output, error) {
	held, err := claimDir(dir)
	if err != nil {
		return nil, err
	}
	o := &output{dir: dir, claim: held, u: u, before: map[string]bool{}, known: map[string]bool{}, fixed: map[string]string{}, reports: reports, command: reports.Command, started: time.Now()}
	if err := o.open(who); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return o, nil
}

func (o *output) open(who owner) error {
	if err := who.settle(o.dir, o.u); err != nil {
		return err
	}
	o.program = who.Program
	entries, err := corpus.OpenDir(filepath.Join(o.dir, "corpus"))
	if err != nil {
		return err
	}
	o.corpus = &corpusDir{entries}
	findings := filepath.Join(o.dir, "findings")
	reports := o.reports
	reports.Path = func(key string) string { return filepath.Join(findings, key) }
	if o.findings, err = triage.OpenStore(findings, report.Renderer(reports)); err != nil {
		return err
	}
	aside := filepath.Join(o.dir, "unconfirmed")
	reports.Path = func(key string) string { return filepath.Join(aside, key) }
	if o.unconfirmed, err = triage.OpenAside(aside, report.UnconfirmedRenderer(reports)); err != nil {
		return err
	}
	for _, key := range o.findings.Keys() {
		o.before[key] = true
		if b, err := readReport(o.findings.Path(key)); err == nil {
			status, err := report.ReadStatus(b)
			o.known[key] = err == nil && status.Known
			if err == nil && status.State == report.Fixed {
				o.fixed[key] = status.Fixed
			}
		}
	}
	return o.startPlot()
}

// Close lets other processes have the directory.
func (o *output) Close() error { return o.claim.Close() }

// corpusDir is a corpus.Dir that says what to do when the disk is full.
type corpusDir struct{ *corpus.Dir }

func (d *corpusDir) Add(inputs ...*corpus.Input) error { return explainFull(d.Dir.Add(inputs...)) }

func explainFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w; free some space or choose another directory with -o: the next run goes on from what is stored", err)
	}
	return err
}

// report stores a finding and then announces it.
func (o *output) report(f *triage.Finding) error {
	path, err := o.findings.Add(f)
	if err != nil {
		return explainFull(err)
	}
	o.mu.Lock()
	o.found, o.foundAt = append(o.found, f), time.Now()
	o.mu.Unlock()
	if o.stored != nil {
		o.stored(f, path)
	}
	if o.known[f.Key] {
		o.u.say("finding: %s\nbpffuzz:   marked as known, does not count: %s", headline(f), path)
		return nil
	}
	if since := o.fixed[f.Key]; since != "" {
		delete(o.fixed, f.Key)
		if _, err := noteFixed(path, false, time.Now()); err != nil {
			return err
		}
		o.u.announce("finding: %s\nbpffuzz:   regressed, it was fixed %s: %s\nbpffuzz:   replay it with: %s", headline(f), since, path, withFinding(o.command, path))
		return nil
	}
	if o.baseline[f.Key] {
		o.u.say("finding: %s\nbpffuzz:   the baseline has it, does not count: %s", headline(f), path)
		return nil
	}
	if o.before[f.Key] {
		o.u.say("finding: %s\nbpffuzz:   known since an earlier run: %s", headline(f), path)
		return nil
	}
	o.u.announce("finding: %s\nbpffuzz:   written to %s\nbpffuzz:   replay it with: %s", headline(f), path, withFinding(o.command, path))
	return nil
}

// aside stores a failure that was not confirmed, if there is room for it.
func (o *output) aside(f *triage.Unconfirmed) error {
	if o.kept {
		f.Notes = append(f.Notes, "map state was kept from batch to batch (--state keep): what failed may depend on batches before this one")
	}
	_, err := o.unconfirmed.Add(f)
	return explainFull(err)
}

// asideText says where unconfirmed failures are.
func (o *output) asideText() string {
	if n := o.unconfirmed.Len(); n > 0 {
		return fmt.Sprintf("; %d in %s", n, o.unconfirmed.Dir())
	}
	return ""
}

// recount adds to the reports of findings how often this run met them again.
func (o *output) recount(findings []*triage.Finding) error {
	for _, f := range findings {
		more := f.Count
		if !o.before[f.Key] {
			more-- // the first time is in the report
		}
		path := filepath.Join(o.findings.Path(f.Key), "report.json")
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || more == 0 {
			continue // somebody took it away
		}
		if err == nil {
			b, err = report.Recount(b, more)
		}
		if err == nil {
			err = writeWhole(path, b)
		}
		if err != nil {
			return fmt.Errorf("updating %s: %w", path, explainFull(err))
		}
	}
	return nil
}

// headline says what is wrong. An invariant's title has its name already.
func headline(f *triage.Finding) string {
	if strings.HasPrefix(f.Oracle, "invariant-") {
		return f.Title
	}
	return f.Oracle + ": " + f.Title
}

// isKnown reports whether a finding of that key is marked as known. Marks are read when the
// directory is opened.
func (o *output) isKnown(key string) bool { return o.known[key] }

// counts reports whether any of the findings is not marked as known.
func (o *output) counts(findings []*triage.Finding) bool {
	return slices.ContainsFunc(findings, func(f *triage.Finding) bool { return !o.known[f.Key] })
}

// lastStored returns when this run stored its last finding; zero for never.
func (o *output) lastStored() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.foundAt
}

// list returns the findings of this run so far.
func (o *output) list() []*triage.Finding {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.found)
}

// plotHeader names the columns of plot.csv.
const plotHeader = "unix_time,relative_time,execs_done,execs_per_sec,edges_found,total_edges,corpus_count,saved_findings\n"

// startPlot makes plot.csv; a run that goes on adds to the one that is there.
func (o *output) startPlot() error {
	return explainFull(startPlot(filepath.Join(o.dir, "plot.csv")))
}

// startPlot makes the file of a plot where there is none.
func startPlot(path string) error {
	if exists(path) {
		return nil
	}
	return writeWhole(path, []byte(plotHeader))
}

// write replaces stats.json and adds a line to plot.csv.
func (o *output) write(s *summary) error {
	now := time.Now()
	stats := struct {
		Version   string `json:"version"`
		StartTime int64  `json:"start_time"`
		LastTime  int64  `json:"last_update"`
		*summary
		*status
	}{version(), o.started.Unix(), now.Unix(), s, newStatus(s, o, now)}
	b, err := json.MarshalIndent(stats, "", "  ")
	if err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(o.dir, "stats.json"), append(b, '\n')); err != nil {
		return err
	}
	line := fmt.Sprintf("%d,%d,%d,%.2f,%d,%d,%d,%d\n", now.Unix(), int64(s.Elapsed), s.Execs, s.Rate, s.Edges, s.Total, s.Corpus, s.Saved)
	return appendLine(filepath.Join(o.dir, "plot.csv"), line)
}

// writeWhole makes path appear with its whole contents or not at all.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// appendLine adds a line with a single write, so that readers see whole lines.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
