package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage"
)

// campaignTarget is a target of a campaign at work. One goroutine at a time has it.
type campaignTarget struct {
	*campaign.Target
	f       *campaignFlags
	u       *ui
	dir     string
	publish *publisher
	// baseline is the target's directory in the baseline, "" where there is none, and
	// baselineKeys are those of the findings there that are open.
	baseline     string
	baselineKeys map[string]bool
	checked      checkedAgain
	build        atomic.Pointer[build] // that the last turn had
	// hash is that of the object when findings ran again or needed not to, "" before the first
	// turn. The one in the directory is not enough: an object may be replaced while a turn
	// begins.
	hash string
}

// build tells the files of two builds of an object apart without reading them.
type build struct {
	path     string
	size     int64 // -1 where there is no file
	modified time.Time
}

func buildOf(path string) *build {
	info, err := os.Stat(path)
	if err != nil {
		return &build{path: path, size: -1}
	}
	return &build{path, info.Size(), info.ModTime()}
}

// changed reports whether there is another file than the last turn had.
func (t *campaignTarget) changed() bool {
	before := t.build.Load()
	if before == nil {
		return false
	}
	now := buildOf(before.path)
	return now.size >= 0 && *now != *before
}

// read reads the target file of a target, as it is going to be.
func (f *campaignFlags) read(t *campaign.Target) (flags targetFlags, err error) {
	flags = targetFlags{config: t.Config, program: t.Program, object: t.Object, live: liveFlags{frames: 1}}
	if t.Setup == "" {
		_, err = flags.read(nil)
		return flags, err
	}
	flags.config = f.setupPath(t)
	flags.file, err = bpf.ParseTargetFile(flags.config, []byte(t.Setup))
	return flags, err
}

// flags are those with which run would do what a turn does.
func (t *campaignTarget) flags(turn *campaign.Turn) (*runFlags, error) {
	f := &runFlags{
		duration: turn.Length, seed: turn.Seed, workers: turn.Workers, workersGiven: true, out: t.dir, seeds: t.seeds(),
		executor: "auto", journal: t.f.journal, sample: 1000, sharing: t.f.sharing,
	}
	if turn.Check {
		f.execs = 1 // besides the seeds, which all run
	}
	if err := t.writeSetup(); err != nil {
		return nil, err
	}
	var err error
	f.targetFlags, err = t.f.read(t.Target)
	return f, err
}

// seeds are the item's, and the corpus of the baseline.
func (t *campaignTarget) seeds() []string {
	seeds := append([]string(nil), t.Seeds...)
	if t.baseline != "" {
		if path := filepath.Join(t.baseline, "corpus"); exists(path) {
			seeds = append(seeds, path)
		}
	}
	return seeds
}

// writeSetup writes the target file, if there is another one or none.
func (t *campaignTarget) writeSetup() error {
	if t.Setup == "" {
		return nil
	}
	path := t.f.setupPath(t.Target)
	if b, err := os.ReadFile(path); err == nil && bytes.Equal(b, []byte(t.Setup)) {
		return nil
	}
	err := os.MkdirAll(t.dir, 0o755)
	if err == nil {
		err = writeWhole(path, []byte(t.Setup))
	}
	if err != nil {
		return fmt.Errorf("writing target file %s: %w", path, explainFull(err))
	}
	return nil
}

// do runs a turn.
func (t *campaignTarget) do(ctx context.Context, turn campaign.Turn) (out campaign.Outcome, err error) {
	t.publish.update(func(_ *campaign.Status, s *campaign.TargetStatus) { s.State, s.Problem = campaign.Running, "" })
	out, err = t.turn(ctx, &turn)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // it was interrupted, which does not tell that it cannot run
	}
	if err != nil {
		err = firstLine(t.Explain(t.f.setupPath(t.Target), err))
		t.publish.end(nil, err)
		return out, err
	}
	t.publish.update(func(_ *campaign.Status, s *campaign.TargetStatus) { s.State = campaign.Waiting })
	return out, nil
}

// firstLine leaves out what follows an error, such as a verifier's log.
func firstLine(err error) error {
	line, _, more := strings.Cut(err.Error(), "\n")
	if !more {
		return err
	}
	return errors.New(line)
}

func (t *campaignTarget) turn(ctx context.Context, turn *campaign.Turn) (campaign.Outcome, error) {
	var out campaign.Outcome
	if t.Problem != nil {
		if _, err := fuzzable(t.Object); err != nil {
			return out, t.Problem
		}
		return out, fmt.Errorf("%w; it can be read now: start the campaign again to have its programs", t.Problem)
	}
	f, err := t.flags(turn)
	if err != nil {
		return out, err
	}
	f.how, f.keeping = f.executor, cmp.Or(f.state, f.file.State)
	t.build.Store(buildOf(f.path()))
	another, hash, err := t.another(f)
	if err != nil {
		return out, err
	}
	if err := t.recheck(ctx, f, turn.Check, another); err != nil {
		return out, err
	}
	t.hash = hash
	subject, err := f.load(t.u, 0)
	if err != nil {
		return out, t.rejected(f, err)
	}
	out, err = t.fuzz(ctx, f, subject)
	out.Rebuilt = another
	return out, err
}

// rejected makes a finding of a program that the kernel does not load, which cannot run all
// the same.
func (t *campaignTarget) rejected(f *runFlags, err error) error {
	if found := f.asFinding(t.u, err); found != nil && !errors.Is(found, errFindings) {
		return found
	}
	open, unread := openFindingsOf(t.dir)
	if unread != nil {
		return unread
	}
	t.publish.update(func(_ *campaign.Status, s *campaign.TargetStatus) {
		for _, one := range open {
			if one.Kind == triage.Rejected && s.Finding(one.Key) == nil {
				s.Findings = append(s.Findings, campaign.FindingStatus{
					Key: one.Key, Kind: one.Kind, Title: one.Title, Path: one.Path, Command: verifyCommand(&f.targetFlags),
					At: time.Now(), Count: one.Count, New: true, Known: one.Known,
				})
			}
		}
	})
	return err
}

// fuzz fuzzes for a turn.
func (t *campaignTarget) fuzz(ctx context.Context, f *runFlags, s *subject) (o campaign.Outcome, err error) {
	opts := fuzz.Options{
		Workers: f.workers, Seed: f.seed, Duration: f.duration, Execs: f.execs, Sample: f.sample,
		Judge: s.judge(), Warn: func(err error) { t.u.warn("%v", err) }, Panicking: t.u.parent.reclaim,
	}
	since := time.Now()
	out, err := f.openOutput(t.u, s)
	if err != nil {
		return o, err
	}
	out.baseline = t.baselineKeys
	err = t.resumed(ctx, f, s, out, opts)
	if errors.Is(err, errFindings) {
		err = nil
	}
	result, edges := t.publish.turned()
	o = outcomeOf(result, edges, out)
	if err == nil {
		err = cmp.Or(t.carry(s, t.hash, result), t.retain(out, s, result, since))
	}
	return o, cmp.Or(err, out.closeJournal(err == nil), out.Close())
}

// resumed goes on from what is in the target's directory.
func (t *campaignTarget) resumed(ctx context.Context, f *runFlags, s *subject, out *output, opts fuzz.Options) error {
	err := out.openJournal(f.journal, s.target.Shape())
	if err != nil {
		return err
	}
	if opts.Seeds, err = f.readSeeds(ctx, t.u, s, out); err != nil {
		return err
	}
	if err := out.resume(&opts, s.target.Shape()); err != nil {
		return err
	}
	t.publish.begin(s, out, &opts)
	return f.watched(ctx, t.u, s, out, opts, t.publish, func() {})
}

// outcomeOf is what a turn gave. A finding that was there before is none.
func outcomeOf(result *fuzz.Result, edges int, out *output) campaign.Outcome {
	o := campaign.Outcome{Edges: edges}
	if result != nil {
		o.Execs, o.Entries = result.Stats.Execs, result.Stats.Found
	}
	for _, f := range out.list() {
		if !out.before[f.Key] && !out.known[f.Key] && !out.baseline[f.Key] {
			o.Findings++
		}
	}
	return o
}

// turned returns what the last turn came to, nil where it failed, and how many edges it
// gained. The result is forgotten, as it has the whole corpus.
func (p *publisher) turned() (*fuzz.Result, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.last
	p.last = nil
	return last, p.gained
}
