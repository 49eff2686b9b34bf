package main

import (
	"fmt"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Choices of --journal.
const (
	journalOn   = "on"
	journalSync = "sync"
	journalOff  = "off"
)

func checkJournal(mode string) error {
	switch mode {
	case journalOn, journalSync, journalOff:
		return nil
	}
	return usageError("--journal %q: choose on, sync or off", mode)
}

// openJournal reads what the last run left in flight, says so, and makes findings of
// inputs that end runs.
func (o *output) openJournal(mode string, shape *corpus.Shape) error {
	if mode == journalOff {
		return nil
	}
	j, err := journal.Open(filepath.Join(o.dir, "journal"), journal.Options{Sync: mode == journalSync})
	if err != nil {
		return fmt.Errorf("%w; run without a journal (--journal off) or choose another directory with -o", explainFull(err))
	}
	o.journal = j
	left := j.Left()
	for _, problem := range left.Problems {
		o.u.warn("%v", problem)
	}
	if left.Killed {
		o.u.say("%s", leftText(left, o.dir))
	}
	for _, f := range left.Fatal {
		if err := o.report(triage.NewFatal(shape, f.Input, f.Ends, f.Machine)); err != nil {
			return err
		}
	}
	return o.nameSuspects(left.Suspects)
}

func leftText(left *journal.Left, dir string) string {
	why := "did not end in order"
	if left.Restarted {
		why = "ended with the machine"
	}
	text := fmt.Sprintf("the last run in %s %s: %s in flight", dir, why, count(len(left.Inputs)+len(left.Fatal), "input"))
	if left.Missing > 0 {
		text += fmt.Sprintf(", and %d for which the journal had no room", left.Missing)
	}
	return text
}

// nameSuspects stores inputs that ran alone when the last run ended while it ran inputs
// again: should this run end as well, it is clear which one it was.
func (o *output) nameSuspects(suspects []*corpus.Input) error {
	if len(suspects) == 0 {
		return nil
	}
	dir, err := corpus.OpenDir(filepath.Join(o.dir, "suspects"))
	if err == nil {
		err = dir.Add(suspects...)
	}
	if err != nil {
		return explainFull(err)
	}
	for _, in := range suspects {
		o.u.warn("the last run ended while it ran %s alone: it is run once more; if this run ends as well it becomes a finding",
			filepath.Join(dir.Path(), corpus.FileName(corpus.MarshalFile(in))))
	}
	return nil
}

// resume has a run begin with what the last one left.
func (o *output) resume(opts *fuzz.Options, shape *corpus.Shape) error {
	if o.journal == nil {
		return nil
	}
	opts.Journal = o.journal
	var reasons []string
	for _, in := range o.journal.Left().Inputs {
		fitting, err := mutate.Fit(shape, in)
		if err != nil {
			reasons = append(reasons, oneLine(err.Error()))
			continue
		}
		opts.Resume = append(opts.Resume, fitting)
	}
	if n := len(reasons); n > 0 {
		o.u.warn("%s of the last run cannot be run again: %s", count(n, "input"), reasons[0])
	}
	if opts.Resume == nil {
		return o.journal.Settle()
	}
	opts.Resumed = func(failing int) error {
		o.u.say("ran again what was in flight: inputs: %d, failing: %d", len(opts.Resume), failing)
		return o.journal.Settle()
	}
	return nil
}

// closeJournal ends the journal; what was in flight when a run failed stays.
func (o *output) closeJournal(clean bool) error {
	if o.journal == nil {
		return nil
	}
	err := o.journal.Close(clean)
	o.journal = nil
	return err
}

// avoided returns the inputs that are known to end runs.
func (o *output) avoided() (all []*corpus.Input) {
	for _, key := range o.findings.Keys() {
		if !triage.HasNoRun(key) {
			continue
		}
		if in, err := corpus.ReadFile(filepath.Join(o.findings.Path(key), "input")); err == nil {
			all = append(all, in)
		}
	}
	return all
}
