package bpf

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	events "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/trigger"
)

// triggerExecutor causes an event for each step.
//
// A step's outcome has what the program returned when it ran last during the event,
// what was received, and as its context what was seen from outside. When the event
// did not reach the program, its errno is ENODATA.
type triggerExecutor struct {
	target *Target
	batch  *fuzz.Batch
	hot    *armed
	trace  *armed // loaded when somebody asks for a trace
	// compare is loaded when somebody asks what is compared.
	compare *armed
	ctx     []byte // given to the event
	views   []view // of the slots
	seen    events.Seen
	result  corpus.Outcome
	alone   []view // of the steps of the input run alone
	ears    ears   // hear what the programs print
}

// view is where an outcome's bytes go.
type view struct{ packet, context []byte }

func newTriggerExecutor(t *Target, worker int) (fuzz.Executor, error) {
	if err := kernel.Isolate(worker); err != nil {
		return nil, err
	}
	e := &triggerExecutor{
		target: t,
		batch:  fuzz.NewBatchOver(newSlots(t.shape), t.shape.MaxSteps),
		ctx:    make([]byte, t.shape.ContextSize),
		views:  make([]view, slots),
	}
	if err := e.load(); err != nil {
		return nil, err
	}
	return e, nil
}

// load makes the hot instance and attaches it.
func (e *triggerExecutor) load() error {
	hot, err := e.target.arm(instrument.Cover)
	if err != nil {
		return err
	}
	if err := errors.Join(hot.start(), hot.guide(e.target)); err != nil {
		return errors.Join(err, hot.Close())
	}
	e.hot = hot
	return nil
}

// Describe implements fuzz.Executor.
func (e *triggerExecutor) Describe() string {
	return "trigger: " + e.target.row.trigger.Event + " for each input, slower by far than BPF_PROG_RUN, which does not run " +
		e.target.row.kind + "; instrumented " + e.target.Rung()
}

// Batch implements fuzz.Executor.
func (e *triggerExecutor) Batch() *fuzz.Batch { return e.batch }

// Cover implements fuzz.Executor.
func (e *triggerExecutor) Cover() []byte { return e.hot.covered() }

// Run implements fuzz.Executor. Events take long enough to look at ctx between them.
func (e *triggerExecutor) Run(ctx context.Context) error {
	e.hot.forget()
	outcomes := e.batch.Outcomes()
	for i := range outcomes { // what ctx cuts off did not happen
		outcomes[i] = corpus.StepOutcome{Errno: unix.ENODATA}
	}
	for n, i := 0, 0; i < e.batch.Len() && ctx.Err() == nil; i++ {
		in := e.batch.Input(i)
		if err := e.run(e.hot, in, outcomes[n:], e.views[n:]); err != nil {
			return err
		}
		n += len(in.Steps)
		if err := e.hot.fold(); err != nil {
			return err
		}
	}
	return nil
}

// run runs an input from the initial state.
func (e *triggerExecutor) run(a *armed, in *corpus.Input, outcomes []corpus.StepOutcome, views []view) error {
	a.beginChance()
	if err := a.state.restore(); err != nil {
		return err
	}
	if err := a.state.store(in.Maps); err != nil {
		return err
	}
	if err := a.feed.begin(); err != nil {
		return err
	}
	for i := range in.Steps {
		if err := e.step(a, &in.Steps[i], &outcomes[i], &views[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *triggerExecutor) step(a *armed, s *corpus.Step, o *corpus.StepOutcome, v *view) error {
	n := copy(e.ctx, s.Context)
	clear(e.ctx[n:])
	e.target.row.fixContext(e.target.shape, e.ctx, s.Packet, 0)
	clear(a.result)
	a.setChance(s.Chance)
	a.setFault(s.Fault)
	if err := a.fire.Fire(e.ctx, s.Packet, &e.seen); err != nil {
		return err
	}
	ret, runs := a.last()
	*o = corpus.StepOutcome{Ret: ret, Faulted: a.faulted()}
	a.violated(o)
	if runs == 0 {
		o.Errno = unix.ENODATA
	}
	v.packet = append(v.packet[:0], e.seen.Packet...)
	v.context = slices.Grow(v.context[:0], events.ContextSize)[:events.ContextSize]
	e.seen.Put(v.context, runs)
	o.Packet, o.Context = v.packet, v.context
	return nil
}

// Alone implements fuzz.Executor.
func (e *triggerExecutor) Alone(_ context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	e.hot.forget()
	for len(e.alone) < len(in.Steps) {
		e.alone = append(e.alone, view{})
	}
	out := &e.result
	*out = corpus.Outcome{
		Have:  corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveCover | want&corpus.HaveMaps,
		Steps: slices.Grow(out.Steps[:0], len(in.Steps))[:len(in.Steps)], Trace: out.Trace[:0],
	}
	if err := e.ears.listen(e.target, want); err != nil {
		return nil, err
	}
	if err := errors.Join(e.run(e.hot, in, out.Steps, e.alone), e.hot.fold()); err != nil {
		return nil, err
	}
	out.Cover, out.Maps = e.Cover(), e.hot.state
	if want&corpus.HaveTrace != 0 {
		return out, errors.Join(e.ears.hear(e.target, out), e.traceAlone(in, out))
	}
	return out, nil
}

// traceAlone runs the input once more, in the variant that orders edges and that
// stands in for the hot one meanwhile. Where the kernel does not accept it, the
// outcome has no trace.
func (e *triggerExecutor) traceAlone(in *corpus.Input, out *corpus.Outcome) (err error) {
	if e.trace == nil {
		e.trace, err = e.target.arm(instrument.Trace)
		if _, rejected := errors.AsType[*RejectedError](err); rejected {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := e.hot.stop(); err != nil {
		return err
	}
	if err := e.trace.start(); err != nil {
		return err
	}
	cells := e.trace.clearTrace()
	views := make([]view, len(in.Steps))
	err = errors.Join(e.run(e.trace, in, make([]corpus.StepOutcome, len(in.Steps)), views), e.trace.stop(), e.hot.start())
	if err != nil {
		return err
	}
	out.Trace = order(out.Trace, cells, e.trace.layout.CellEdges)
	out.Have |= corpus.HaveTrace
	return nil
}

// clearTrace makes a trace start anew and returns the cells that it fills.
func (i *instance) clearTrace() []byte {
	clear(i.mem[i.layout.Sequence:][:4])
	cells := i.mem[i.layout.Cells:][:4*len(i.layout.CellEdges)]
	clear(cells)
	return cells
}

// Recreate implements fuzz.Executor.
func (e *triggerExecutor) Recreate(context.Context) error {
	if err := e.release(); err != nil {
		return err
	}
	return e.load()
}

// Close implements fuzz.Executor.
func (e *triggerExecutor) Close() error { return errors.Join(e.release(), e.ears.Close()) }

// release gives programs, maps and what causes events back.
func (e *triggerExecutor) release() error {
	err := errors.Join(e.hot.Close(), e.trace.Close(), e.compare.Close())
	e.hot, e.trace, e.compare = nil, nil, nil
	return err
}
