package fuzz

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// MergeOptions says how to merge. The zero value merges with one worker.
type MergeOptions struct {
	// Workers is the number of executors that run at once; 0 means 1. The result is the
	// same with any number.
	Workers int
	// Memory is about how many bytes of inputs that may be part of the result are held;
	// 0 means 256 MiB. With less than would be needed the result covers the same and may
	// be larger.
	Memory int
	// Progress is called every ProgressEvery (0 means 3 s), from one goroutine at a time;
	// nil means never.
	Progress      func(MergeProgress)
	ProgressEvery time.Duration
}

const defaultMergeMemory = 256 << 20

func (o MergeOptions) withDefaults() MergeOptions {
	o.Workers = max(o.Workers, 1)
	if o.Memory <= 0 {
		o.Memory = defaultMergeMemory
	}
	if o.ProgressEvery <= 0 {
		o.ProgressEvery = defaultProgressEvery
	}
	return o
}

// MergeProgress is how far a merge is.
type MergeProgress struct {
	Elapsed time.Duration
	// Inputs were run, of which Held may be part of the result.
	Inputs, Held int
}

// Merged is what a merge came to.
type Merged struct {
	// Inputs cover together what all inputs cover, the smallest first.
	Inputs []*corpus.Input
	// Read counts the inputs that were run, and ReadBytes their payload.
	Read      int
	ReadBytes int64
	// Before is what they cover, and After what Inputs covered when they were run
	// again.
	Before, After cover.Tally
	// Unstable are features that some inputs had in one of two runs, and none in both:
	// those that had them are among Inputs. Missed are features that Inputs did not have
	// again in any of a few more runs. Both are in ascending order and say nothing of
	// how near comparisons came.
	Unstable, Missed []int
	Elapsed          time.Duration
}

// Merge runs inputs, each alone from the initial state, and selects a set cover of what
// they cover: edges, how often loops go round, which way comparisons go and how near they
// come to the other one, where the executor is a Comparer. Small inputs are preferred, by
// their bytes times their steps, and then those that do less. The result follows from
// the set of inputs, in whatever order they come, as long as Memory suffices.
//
// Each input runs twice, so that what it always does is told from what it does at
// times; the result runs once more. Inputs must obey the target's shape. They are read
// from a goroutine of Merge's, one by one, and none is changed.
func Merge(ctx context.Context, target Target, inputs iter.Seq[*corpus.Input], opts MergeOptions) (*Merged, error) {
	opts = opts.withDefaults()
	m := &merger{
		target: target, opts: opts, started: time.Now(),
		selection: cover.Selection{Limit: opts.Memory}, before: make(cover.Ranks, target.Table().Features()),
	}
	stop := m.report()
	err := m.run(ctx, inputs)
	stop()
	if err != nil {
		return nil, err
	}
	return m.result(ctx)
}

// merger is the state of one Merge.
type merger struct {
	target    Target
	opts      MergeOptions
	started   time.Time
	selection cover.Selection
	before    cover.Ranks
	bytes     int64

	inputs, held atomic.Int64
}

// report has progress reported until the function that it returns has returned.
func (m *merger) report() (stop func()) {
	if m.opts.Progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(m.opts.ProgressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				m.opts.Progress(MergeProgress{Elapsed: time.Since(m.started), Inputs: int(m.inputs.Load()), Held: int(m.held.Load())})
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// take adds what runs of inputs gave to the selection, in the order of the inputs.
func (m *merger) take(done *mergeBlock) {
	for _, c := range done.candidates {
		m.before.Merge(c.Profile)
		m.selection.Add(c)
	}
	m.bytes += done.bytes
	m.inputs.Add(int64(len(done.inputs)))
	m.held.Store(int64(m.selection.Held()))
}

// result makes the set cover and runs it again.
func (m *merger) result(ctx context.Context) (*Merged, error) {
	taken := m.selection.SetCover()
	r := &Merged{
		Read: int(m.inputs.Load()), ReadBytes: m.bytes,
		Before: m.target.Table().Tally(m.before), Unstable: m.unstable(),
	}
	for _, c := range taken {
		r.Inputs = append(r.Inputs, corpus.Decode(c.Data))
	}
	after, err := m.again(ctx, r.Inputs)
	if err != nil {
		return nil, err
	}
	r.After, r.Missed, r.Elapsed = m.target.Table().Tally(after), m.missed(after), time.Since(m.started)
	return r, nil
}

// unstable lists the features that no input had in both of its runs.
func (m *merger) unstable() (list []int) {
	for feature, rank := range m.before {
		if rank == cover.Once && !m.target.Table().IsNearness(feature) {
			list = append(list, feature)
		}
	}
	return list
}

// missed lists the features that the result does not have any more.
func (m *merger) missed(after cover.Ranks) (list []int) {
	for feature, rank := range m.before {
		if rank > 0 && after[feature] == 0 && !m.target.Table().IsNearness(feature) {
			list = append(list, feature)
		}
	}
	return list
}

// mergeAgain is how often the result is run until it has everything again: what
// depends on chance may take a few times.
const mergeAgain = 8

// again runs the result until it has all that the inputs had.
func (m *merger) again(ctx context.Context, inputs []*corpus.Input) (after cover.Ranks, err error) {
	after = make(cover.Ranks, len(m.before))
	if len(inputs) == 0 {
		return after, nil
	}
	failed := make(chan error)
	go func() { // executors keep the thread of the goroutine that made them
		failed <- withMergeWorker(m.target, 0, func(w *mergeWorker) error {
			for n := 0; n < mergeAgain && (n == 0 || len(m.missed(after)) > 0); n++ {
				for _, in := range inputs {
					profile, _, err := w.once(ctx, in)
					if err != nil {
						return fmt.Errorf("running the result again: %w", err)
					}
					after.Merge(profile)
				}
			}
			return nil
		})
	}()
	return after, <-failed
}
