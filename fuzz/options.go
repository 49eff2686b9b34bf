package fuzz

import (
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Options says how to fuzz. The zero value fuzzes with one worker, seed 0 and no
// oracle until the context ends.
type Options struct {
	// Workers is the number of executors that run at once; 0 means 1. With one
	// worker and a limit on executions, a run is a function of its options.
	Workers int
	// Seed determines every random choice.
	Seed uint64
	// Duration ends the run; 0 means no limit.
	Duration time.Duration
	// Execs ends the run after about so many executions of the program, seeds
	// included (a batch is not cut short by less than an input); 0 means no limit.
	Execs uint64
	// Seeds are tried before anything is mutated. They must obey the target's shape.
	Seeds []*corpus.Input
	// Mutate configures the mutators; its Seed is ignored.
	Mutate mutate.Options
	// Solve configures how comparisons are made to go the other way.
	Solve solve.Options
	// NoScores keeps batches from being scored by how near inputs come to that.
	NoScores bool
	// FurtherAfter is after how many executions of a worker without a new edge further
	// features count (see cover.Domain), or as many as it took to the last one where
	// these are more; 0 means a million. NoFurther keeps them from ever counting.
	FurtherAfter uint64
	NoFurther    bool
	// Judge holds the oracles; nil judges nothing.
	Judge *triage.Judge
	// Sample n makes one input in n, besides those that reach something new, be
	// judged alone by the oracles that cannot judge inside a batch; 0 means 1000.
	Sample int
	// StopOnFinding ends the run with the first finding whose key is not Known. Known is
	// called from any goroutine; nil knows none.
	StopOnFinding bool
	Known         func(key string) bool
	// Triage configures confirmation and minimisation.
	Triage triage.Options

	// Journal notes inputs before they run, for the run after one that did not end in
	// order; nil notes nothing. Whoever made it closes it.
	Journal *journal.Journal
	// Resume are inputs that were in flight when another run ended. They are run behind
	// the seeds, one by one and then as batches, and kept and judged like any other. They
	// must obey the target's shape. Resumed is called behind the last one with how many
	// an oracle objected to; not when the run ends before. An error ends the run.
	Resume  []*corpus.Input
	Resumed func(failing int) error

	// Inbox has inputs that others find meanwhile; nil has none.
	Inbox Inbox

	// Keep stores new corpus entries; nil keeps them in memory only. It is called
	// from one goroutine at a time. An error ends the run.
	Keep func(inputs ...*corpus.Input) error
	// Report is called once for each new finding, from one goroutine at a time. An
	// error ends the run.
	Report func(*triage.Finding) error
	// Unconfirmed is called for each failure that was looked into and did not happen
	// again from the initial state, from one goroutine at a time. An error ends the run.
	Unconfirmed func(*triage.Unconfirmed) error
	// Gained is called for each new corpus entry that passes edges which those before it did
	// not pass, seeds left out, from one goroutine at a time. It must return soon: a worker
	// waits for it. Nil means never.
	Gained func(Gain)
	// Progress is called every ProgressEvery (0 means 3 s), from one goroutine at a
	// time; nil means never.
	Progress      func(Stats)
	ProgressEvery time.Duration
	// Panicking is called when a goroutine of the run panics, before the process ends of
	// it: what the terminal is used for may have to be put in order. Nil does nothing.
	Panicking func()
	// Warn is called for what does not end the run, from any goroutine; nil drops it.
	Warn func(error)
}

const (
	defaultSample        = 1000
	defaultProgressEvery = 3 * time.Second
)

func (o Options) withDefaults() Options {
	o.Workers = max(o.Workers, 1)
	if o.Sample <= 0 {
		o.Sample = defaultSample
	}
	if o.FurtherAfter == 0 {
		o.FurtherAfter = defaultFurtherAfter
	}
	if o.ProgressEvery <= 0 {
		o.ProgressEvery = defaultProgressEvery
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.Panicking == nil {
		o.Panicking = func() {}
	}
	if o.Known == nil {
		o.Known = func(string) bool { return false }
	}
	if o.Keep == nil {
		o.Keep = func(...*corpus.Input) error { return nil }
	}
	if o.Resumed == nil {
		o.Resumed = func(int) error { return nil }
	}
	if o.Report == nil {
		o.Report = func(*triage.Finding) error { return nil }
	}
	if o.Unconfirmed == nil {
		o.Unconfirmed = func(*triage.Unconfirmed) error { return nil }
	}
	return o
}
