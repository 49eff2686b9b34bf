package bpf

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/triage"
)

// calls is how many bare calls are made between two looks at the clock.
const calls = 256

// bounded returns the target with packets of up to size bytes, 0 for any, in
// batches of so many slots, 0 for what suits them.
func (t *Target) bounded(size, slots int) *Target {
	other, shape := *t, *t.shape
	if size > 0 {
		shape.Packet.Max = size
	}
	other.shape, other.slots = &shape, slots
	return &other
}

// callable reports whether BPF_PROG_RUN runs the program.
func (t *Target) callable() bool { return t.row.trigger == nil && t.row.cause == nil }

// workCall is a bare loop of calls of the program as it is.
func (t *Target) workCall(step *corpus.Step) opener {
	return func(worker int) (*work, error) {
		e, err := newExecutor(t, worker)
		if err != nil {
			return nil, err
		}
		inst, err := t.loadBare()
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		return &work{do: bareLoop(e, inst, step), close: func() error { return errors.Join(inst.Close(), e.Close()) }}, nil
	}
}

// workInstrumented is the same with the instrumented program, whose coverage nobody
// reads.
func (t *Target) workInstrumented(step *corpus.Step) opener {
	return func(worker int) (*work, error) {
		e, err := newExecutor(t, worker)
		if err != nil {
			return nil, err
		}
		return &work{do: bareLoop(e, e.hot, step), close: e.Close}, nil
	}
}

// bareLoop returns the loop itself: all that could be done before it has been.
func bareLoop(e *executor, inst *instance, step *corpus.Step) func(context.Context) (int, error) {
	ctx := e.contextOf(step, false)
	var data, out []byte
	if row := &e.target.row; !row.noPacket {
		data = e.dataOf(step, ctx)
		if row.result != noResult {
			out = e.out[0]
		}
	}
	e.setContext(inst, ctx, nil)
	inst.run.SetFlags(0, 0)
	return func(context.Context) (int, error) {
		for range calls {
			inst.run.SetData(data, out)
			if errno := inst.run.Do(); errno != 0 {
				return 0, fmt.Errorf("running program %q as it is: BPF_PROG_RUN answered %d (%w)", e.target.program, int(errno), errno)
			}
		}
		return calls, nil
	}
}

// loadBare loads the program as it is, without anything of ours.
func (t *Target) loadBare() (*instance, error) {
	if t.loaded != nil {
		return t.adopt(0)
	}
	coll, err := ebpf.NewCollectionWithOptions(t.spec.Copy(), ebpf.CollectionOptions{
		MapReplacements: t.reused, Programs: ebpf.ProgramOptions{LogDisabled: true},
	})
	if err != nil {
		return nil, t.explain(err)
	}
	inst := &instance{
		coll: coll, run: kernel.NewRun(coll.Programs[t.program].FD()), state: &mapState{maps: map[string]restorer{}},
	}
	if t.row.sockets {
		err = inst.fillSockets(t)
	}
	if err == nil && t.row.open != nil {
		err = t.row.open(t, inst)
	}
	if err != nil {
		return nil, errors.Join(err, inst.Close())
	}
	return inst, nil
}

// workSingle is the executor without batches.
func (t *Target) workSingle(step *corpus.Step) opener {
	other := *t
	other.mode = executorSingle
	return other.workExecutor(step, nil)
}

// workBatch is the executor with batches, whose outcomes judge is asked about.
func (t *Target) workBatch(step *corpus.Step, judge *triage.Judge) opener {
	other := *t
	other.mode = executorBatch
	return other.workExecutor(step, judge)
}

// workExecutor runs a batch over and over, which is filled once.
func (t *Target) workExecutor(step *corpus.Step, judge *triage.Judge) opener {
	return func(worker int) (*work, error) {
		e, err := t.NewExecutor(worker)
		if err != nil {
			return nil, err
		}
		batch := e.Batch()
		fillBatch(batch, step)
		seen := cover.NewSeen(t.table.Len())
		return &work{executor: executorName(e), slots: batch.Cap(), close: e.Close, do: func(ctx context.Context) (int, error) {
			if err := e.Run(ctx); err != nil {
				return 0, err
			}
			if seen.Adds(e.Cover()) {
				seen.Merge(e.Cover())
			}
			for i := range batch.Len() {
				judge.Every(batch.Input(i), batch.Outcome(i))
			}
			return len(batch.Slots()), nil
		}}, nil
	}
}

// fillBatch makes every slot an input of that step.
func fillBatch(batch *fuzz.Batch, step *corpus.Step) {
	batch.Reset()
	for in := batch.Next(); in != nil; in = batch.Next() {
		in.Grow().CopyFrom(step)
		batch.Commit()
	}
}

// executorName is the first word of what an executor says of itself.
func executorName(e fuzz.Executor) string {
	name, _, _ := strings.Cut(e.Describe(), ":")
	return name
}
