package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// campaignWork is a campaign at work.
type campaignWork struct {
	f       *campaignFlags
	u       *ui
	board   *campaign.Board
	past    *campaign.Past
	targets []*campaignTarget

	last    campaignTotals // that were told
	started time.Time
	stored  error // why the past could not be stored the last time
	// unwritten is why the statistics could not be written the last time.
	unwritten error
}

// pastFile is the state of a campaign, in its directory.
const pastFile = "campaign.json"

// work runs the campaign in its directory.
func (f *campaignFlags) work(ctx context.Context, u *ui) error {
	w := &campaignWork{f: f, u: u, board: &campaign.Board{}, started: time.Now()}
	if err := w.open(); err != nil {
		return err
	}
	details := newDetails(w.asked)
	watching, err := f.watch.start(ctx, u, watched{board: w.board, blocked: details.Frontier, details: details})
	if err != nil {
		return err
	}
	defer watching.unshow() // a panic is to be read
	w.introduce()
	if f.sharing, err = f.exchange.open(ctx, u, f.file.Output); err != nil {
		return cmp.Or(err, watching.Close())
	}
	ran := w.run(ctx)
	if err := f.sharing.Close(); err != nil {
		u.warn("%v", err)
	}
	w.stats()
	watching.unshow()
	err = w.finish(ran)
	return cmp.Or(err, watching.Close())
}

// open reads the past and makes the targets.
func (w *campaignWork) open() (err error) {
	file := w.f.file
	path := filepath.Join(file.Output, pastFile)
	if w.past, err = campaign.ReadPast(path); err != nil {
		return err
	}
	if w.past == nil {
		w.past = campaign.NewPast(w.f.newSeed())
	} else if file.Seed != 0 {
		w.past.Seed = file.Seed
	}
	used := w.past.Begin(file.Mode, file.Duration, time.Now(), w.f.anew)
	w.board.Update(func(s *campaign.Status) {
		s.Title, s.Mode, s.Started, s.Workers = filepath.Base(file.Path), string(file.Mode), w.started, file.Workers
	})
	for i := range w.f.targets {
		if err := w.add(&w.f.targets[i]); err != nil {
			return err
		}
	}
	if used > 0 {
		w.u.say("going on with the campaign that was stopped after %s", roundTime(used))
	}
	w.save()
	return w.stored
}

// add makes a target of the campaign, and notes which findings are not new.
func (w *campaignWork) add(t *campaign.Target) error {
	one := &campaignTarget{Target: t, f: w.f, u: w.u.of(t.Name), dir: w.f.dir(t), publish: newPublisher(w.board, t.Name)}
	one.publish.waits = true
	if w.f.baseline != "" && exists(filepath.Join(w.f.baseline, t.Name)) {
		one.baseline = filepath.Join(w.f.baseline, t.Name)
		open, err := openFindingsOf(one.baseline)
		if err != nil {
			return err
		}
		one.baselineKeys = map[string]bool{}
		for _, s := range open {
			one.baselineKeys[s.Key] = true
		}
	}
	past := w.past.Target(t.Name)
	if !past.Listed {
		open, err := openFindingsOf(one.dir)
		if err != nil {
			return err
		}
		for _, s := range open {
			past.Before = append(past.Before, s.Key)
		}
		past.Listed = true
	}
	w.targets = append(w.targets, one)
	planned := w.f.planned(t)
	one.publish.update(func(_ *campaign.Status, s *campaign.TargetStatus) {
		s.Object, s.Program, s.Dir = planned.Object, planned.Program, one.dir
	})
	return nil
}

// openFindingsOf lists the findings in an output directory that are not fixed.
func openFindingsOf(root string) ([]*report.Status, error) {
	dir := &findingsDir{root: root, dir: filepath.Join(root, "findings")}
	if !exists(dir.dir) {
		return nil, nil
	}
	all, _, err := dir.read("")
	if err != nil {
		return nil, err
	}
	var open []*report.Status
	for _, s := range all {
		if s.State != report.Fixed {
			open = append(open, s)
		}
	}
	return open, nil
}

func (w *campaignWork) introduce() {
	file := w.f.file
	long := "until it is interrupted"
	switch {
	case file.Mode == campaign.Regression:
		long = "what is saved"
	case file.Duration > 0:
		long = "for " + roundTime(file.Duration).String()
	}
	w.u.say("campaign %s: %s, %s, %s, %s, seed %d, output in %s", filepath.Base(file.Path), file.Mode, count(len(w.targets), "target"),
		count(file.Workers, "worker"), long, w.past.Seed, file.Output)
}

func (w *campaignWork) run(ctx context.Context) error {
	byName := map[string]*campaignTarget{}
	for _, t := range w.targets {
		byName[t.Name] = t
	}
	file := w.f.file
	return campaign.Run(ctx, campaign.Options{
		Targets: w.f.targets, Workers: file.Workers, Turn: file.Turn, Duration: file.Duration, Past: w.past,
		Check: file.Mode == campaign.PR, CheckOnly: file.Mode == campaign.Regression,
		Do: func(ctx context.Context, turn campaign.Turn) (campaign.Outcome, error) {
			return byName[turn.Target.Name].do(ctx, turn)
		},
		Changed: func(t *campaign.Target) bool { return byName[t.Name].changed() },
		Began: func(turn campaign.Turn) {
			w.u.detail("%s: turn %d begins, seed %d", turn.Target.Name, turn.Number, turn.Seed)
		},
		Ended: w.ended,
		Saved: func() { w.save(); w.tell() },
	})
}

// ended says what a turn gave.
func (w *campaignWork) ended(turn campaign.Turn, o campaign.Outcome, err error) {
	for _, t := range w.targets {
		if t.Target != turn.Target {
			continue
		}
		if err != nil {
			t.u.warn("it cannot run, the others go on and it is tried again later: %v", err)
			return
		}
		w.u.progress("%s", t.endedLine(w.board.Status().Target(t.Name), &turn, &o))
	}
}

// endedLine says what a turn gave and how the target stands.
func (t *campaignTarget) endedLine(s *campaign.TargetStatus, turn *campaign.Turn, o *campaign.Outcome) string {
	what := fmt.Sprintf("turn %d", turn.Number+1)
	if turn.Check {
		what = "what is saved"
	}
	return fmt.Sprintf("%s: %s took %s, execs: %d, new edges: %d, new entries: %d, new findings: %d; edges: %d/%d, corpus: %d",
		t.Name, what, roundTime(o.Took), o.Execs, o.Edges, o.Entries, o.Findings, s.Stats.Edges, s.Stats.Total, s.Stats.Corpus)
}

// save stores the past. Where that fails, as on a full disk, the campaign goes on: what a
// target finds is stored in its own directory, and says when it cannot be.
func (w *campaignWork) save() {
	b, err := json.MarshalIndent(w.past, "", "  ")
	if err == nil {
		err = writeWhole(filepath.Join(w.f.file.Output, pastFile), append(b, '\n'))
	}
	if err != nil {
		err = fmt.Errorf("writing the campaign's state to %s: %w", w.f.file.Output, explainFull(err))
		if w.stored == nil {
			w.u.warn("%v", err)
		}
	}
	w.stored = err
}

// asked is a target that somebody asks about, whether it has its turn or not.
func (w *campaignWork) asked(target string) (*asked, error) {
	for _, t := range w.targets {
		if t.Name != target {
			continue
		}
		return &asked{t.dir, func() (*subject, *targetFlags, error) {
			flags, err := w.f.read(t.Target)
			if err != nil {
				return nil, nil, err
			}
			s, err := flags.load(t.u, 0)
			return s, &flags, err
		}}, nil
	}
	return nil, errors.New("there is no such target")
}

// campaignTotals is how a campaign stands.
type campaignTotals struct {
	at              time.Time
	execs           uint64
	edges, total    int
	corpus, running int
	findings        int
	failed          int
}

func totalsOf(s *campaign.Status) campaignTotals {
	t := campaignTotals{at: time.Now()}
	for i := range s.Targets {
		one := &s.Targets[i]
		t.execs += one.Stats.Execs
		t.edges += one.Stats.Edges
		t.total += one.Stats.Total
		t.corpus += one.Stats.Corpus
		for j := range one.Findings {
			if one.Findings[j].New {
				t.findings++
			}
		}
		switch one.State {
		case campaign.Running:
			t.running++
		case campaign.Failed:
			t.failed++
		}
	}
	return t
}

// tell says every few seconds how the campaign stands.
func (w *campaignWork) tell() {
	now := totalsOf(w.board.Status())
	since := now.at.Sub(w.last.at)
	if since < linesEvery*time.Second {
		return
	}
	rate := 0.0
	if !w.last.at.IsZero() {
		rate = float64(now.execs-w.last.execs) / since.Seconds()
	}
	w.last = now
	w.stats()
	w.u.progress("elapsed: %s, targets: %d running, %d failed, execs: %d (%.0f/sec), edges: %d/%d, corpus: %d, new findings: %d",
		roundTime(time.Since(w.started)), now.running, now.failed, now.execs, rate, now.edges, now.total, now.corpus, now.findings)
}

func roundTime(d time.Duration) time.Duration { return d.Round(time.Second) }
