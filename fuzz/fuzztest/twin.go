package fuzztest

import (
	"context"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// twin runs the inputs of an executor by a second program, on a goroutine of its own,
// since executors do not share a thread.
type twin struct {
	host  *host
	shape *corpus.Shape
	// outcomes are those of the last batch, by index; taken says which inputs the
	// program takes.
	outcomes []corpus.Outcome
	taken    []bool
}

func newTwin(target fuzz.Target, worker int) (*twin, error) {
	host, err := newHost(target, worker)
	if err != nil {
		return nil, fmt.Errorf("starting program %q to compare with: %w", target.Shape().Program, err)
	}
	return &twin{host: host, shape: target.Shape()}, nil
}

// run runs the inputs of a batch.
func (t *twin) run(ctx context.Context, inputs *fuzz.Batch) (err error) {
	for len(t.outcomes) < inputs.Len() {
		t.outcomes, t.taken = append(t.outcomes, corpus.Outcome{}), append(t.taken, false)
	}
	t.host.do(func(exec fuzz.Executor) {
		for next := 0; next < inputs.Len() && err == nil; {
			first := next
			next = t.fill(exec.Batch(), inputs, first)
			if err = exec.Run(ctx); err == nil {
				t.collect(exec.Batch(), first, next)
			}
		}
	})
	return err
}

// fill writes inputs from first on into a batch, as far as there is room, and returns
// the first that is left.
func (t *twin) fill(batch, inputs *fuzz.Batch, first int) int {
	batch.Reset()
	for i := first; i < inputs.Len(); i++ {
		in := inputs.Input(i)
		if t.taken[i] = t.shape.Check(in) == nil; !t.taken[i] {
			continue
		}
		dst := batch.Next()
		if dst == nil {
			return i
		}
		dst.CopyFrom(in)
		batch.Commit()
	}
	return inputs.Len()
}

// collect copies outcomes, since the batch may not have had room for all inputs.
func (t *twin) collect(batch *fuzz.Batch, first, next int) {
	n := 0
	for i := first; i < next; i++ {
		if !t.taken[i] {
			continue
		}
		from, to := batch.Outcome(n), &t.outcomes[i]
		n++
		to.Have = from.Have
		for len(to.Steps) < len(from.Steps) {
			to.Steps = append(to.Steps, corpus.StepOutcome{})
		}
		to.Steps = to.Steps[:len(from.Steps)]
		for k := range from.Steps {
			packet := append(to.Steps[k].Packet[:0], from.Steps[k].Packet...)
			to.Steps[k] = from.Steps[k]
			to.Steps[k].Packet = packet
		}
	}
}

// outcome returns that of an input of the last batch, nil when the program does not
// take it.
func (t *twin) outcome(i int) *corpus.Outcome {
	if !t.taken[i] {
		return nil
	}
	return &t.outcomes[i]
}

// alone runs an input from the initial state, with everything recorded; the outcome is nil when the
// program does not take it.
func (t *twin) alone(ctx context.Context, in *corpus.Input) (out *corpus.Outcome, err error) {
	if t.shape.Check(in) != nil {
		return nil, nil
	}
	t.host.do(func(exec fuzz.Executor) { out, err = exec.Alone(ctx, in, costly) })
	return out, err
}

func (t *twin) recreate(ctx context.Context) (err error) {
	t.host.do(func(exec fuzz.Executor) { err = exec.Recreate(ctx) })
	return err
}

func (t *twin) close() error { return t.host.close() }
