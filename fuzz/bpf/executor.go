package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

const (
	// slots is how many steps a batch of the single executor holds. Each costs a
	// system call anyway, so more would only occupy cache.
	slots = 64
	// chanceRoom is how many bytes a step may have for virtualised helpers.
	chanceRoom = instrument.ChanceRoom
	// growth is how much longer than the largest input an output may be: loopback's
	// MTU of 64 KiB bounds what a program can make of an skb, a page an XDP frame.
	growth = 1<<16 + 4096
)

// executor runs each step with a BPF_PROG_RUN call of its own.
type executor struct {
	target *Target
	batch  *fuzz.Batch
	hot    *instance
	trace  *instance // loaded when somebody asks for a trace
	// compare is loaded when somebody asks what is compared.
	compare *instance
	// poison is loaded when an input is to have memory filled.
	poison *instance
	// count is loaded when somebody asks how many instructions are executed.
	count   *instance
	out     [][]byte // where the output packet of each slot goes
	data    []byte   // metadata and packet of a step that has the former
	ctx     []byte   // context given to the kernel
	result  corpus.Outcome
	scratch []byte   // where outputs go that nobody reads
	ctxOut  [][]byte // output contexts of the steps of the input run alone
	why     string   // this one and not another
	always  bool     // every call has a context
	lab     *liveLab // nil where nothing is done with packets
	ears    ears     // hear what the programs print
	// listener hears what the kernel says.
	listener listener
}

func newExecutor(t *Target, worker int) (*executor, error) {
	if err := t.enter(worker); err != nil {
		return nil, err
	}
	lab, err := t.newLab()
	if err != nil {
		return nil, err
	}
	return t.newExecutorHere(lab)
}

// newExecutorHere makes an executor on a thread that is isolated already.
func (t *Target) newExecutorHere(lab *liveLab) (*executor, error) {
	hot, err := t.load(instrument.Cover)
	if err != nil {
		return nil, errors.Join(err, lab.Close())
	}
	packet, meta := t.shape.Packet.Max, t.shape.Meta.Max
	e := &executor{
		target: t, hot: hot, lab: lab,
		batch: fuzz.NewBatchOver(newSlots(t.shape), t.shape.MaxSteps),
		out:   carve(slots, packet+meta+growth),
		data:  make([]byte, 0, packet+meta),
		ctx:   make([]byte, t.shape.ContextSize),

		always: t.looksAtWireLen(),
	}
	if err := hot.guide(t); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// looksAtWireLen reports whether the program reads __sk_buff.wire_len. The kernel
// gives it the packet's length where a call has a context, and 0 where it has none:
// what is judged with its output context would not be what ran in the loop.
func (t *Target) looksAtWireLen() bool {
	return t.plan != nil && t.row.contextSize == skbSize && t.plan.Looks().Field(skbOffWireLen, skbOffWireLen+4)
}

// newSlots makes the steps of a batch over memory that is one piece per buffer.
func newSlots(shape *corpus.Shape) []corpus.Step {
	steps := make([]corpus.Step, slots)
	packets, metas := carve(slots, shape.Packet.Max), carve(slots, shape.Meta.Max)
	contexts, chances := carve(slots, shape.ContextSize), carve(slots, chanceRoom)
	for i := range steps {
		steps[i] = corpus.Step{Packet: packets[i][:0], Meta: metas[i][:0], Context: contexts[i][:0], Chance: chances[i][:0]}
	}
	return steps
}

// cacheLine is the size that carve keeps apart.
const cacheLine = 64

// carve returns n buffers of size bytes each, an odd number of cache lines apart:
// at a distance of whole pages their beginnings would compete for a few lines.
func carve(n, size int) [][]byte {
	stride := (size+cacheLine-1)/cacheLine | 1
	all := make([]byte, n*stride*cacheLine)
	buffers := make([][]byte, n)
	for i := range buffers {
		at := i * stride * cacheLine
		buffers[i] = all[at : at+size : at+size]
	}
	return buffers
}

// Describe implements fuzz.Executor.
func (e *executor) Describe() string {
	if e.lab != nil {
		return e.lab.describe() + ", instrumented " + e.target.Rung()
	}
	if e.target.row.cause != nil {
		return "single: the worker's thread passes the tracepoint for each input, instrumented " + e.target.Rung()
	}
	return "single: one BPF_PROG_RUN call for each packet, instrumented " + e.target.Rung() + e.why
}

// Batch implements fuzz.Executor.
func (e *executor) Batch() *fuzz.Batch { return e.batch }

// Cover implements fuzz.Executor.
func (e *executor) Cover() []byte { return e.hot.covered() }

// Run implements fuzz.Executor.
func (e *executor) Run(ctx context.Context) error {
	e.hot.forget()
	steps, outcomes := e.batch.Slots(), e.batch.Outcomes()
	for n, i := 0, 0; i < e.batch.Len(); i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		in := e.batch.Input(i)
		if err := e.prepare(e.hot, in); err != nil {
			return err
		}
		for range in.Steps {
			if err := e.step(e.hot, &steps[n], &outcomes[n], e.out[n], nil); err != nil {
				return err
			}
			n++
		}
		if err := e.hot.fold(); err != nil {
			return err
		}
	}
	return nil
}

// prepare brings maps to the state that the input starts from.
func (e *executor) prepare(inst *instance, in *corpus.Input) error {
	inst.beginChance()
	if err := inst.state.restore(); err != nil {
		return err
	}
	if len(in.Maps) > 0 {
		if err := inst.state.store(in.Maps); err != nil {
			return err
		}
	}
	return inst.feed.begin()
}

// foldLoops turns the loop counters of the last input into bucket bits and clears
// them.
func (i *instance) foldLoops() {
	buckets := i.mem[i.layout.Probes : i.layout.Probes+i.layout.Loops]
	counters := i.mem[i.layout.Counters:]
	for n := range buckets {
		if count := binary.NativeEndian.Uint32(counters[4*n:]); count != 0 {
			buckets[n] |= cover.Bucket(count)
			binary.NativeEndian.PutUint32(counters[4*n:], 0)
		}
	}
}

// Alone implements fuzz.Executor.
func (e *executor) Alone(_ context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	e.hot.forget()
	e.grow(len(in.Steps))
	out := &e.result
	*out = corpus.Outcome{
		Have:  corpus.HaveRet | corpus.HavePacket | corpus.HaveCover | corpus.HaveDuration | want&(corpus.HaveMaps|corpus.HaveContext),
		Steps: out.Steps[:len(in.Steps)], Trace: out.Trace[:0], Events: out.Events[:0], Lines: out.Lines[:0], Fill: out.Fill[:0],
	}
	if err := e.ears.listen(e.target, want); err != nil {
		return nil, err
	}
	inst, err := e.instanceFor(in)
	if err != nil {
		return nil, err
	}
	if want&corpus.HaveEvents != 0 { // what was said before is not about this input
		if out.Events, err = e.listener.hear(e.target, inst, out.Events[:0]); err != nil {
			return nil, err
		}
		out.Events, out.Have = out.Events[:0], out.Have|corpus.HaveEvents
	}
	e.lab.listen(out)
	err = e.runAlone(inst, in, out.Steps, want)
	e.lab.listen(nil)
	if err != nil {
		return nil, err
	}
	if err := e.hot.fold(); err != nil {
		return nil, err
	}
	if want&corpus.HaveEvents != 0 {
		if out.Events, err = e.listener.hear(e.target, inst, out.Events); err != nil {
			return nil, err
		}
	}
	out.Cover, out.Maps = e.Cover(), inst.state
	if want&corpus.HaveFill != 0 {
		if out.Fill, err = inst.state.fill(out.Fill, e.target.shape); err != nil {
			return nil, err
		}
		out.Have |= corpus.HaveFill
	}
	if want&corpus.HaveInsns != 0 {
		if err := e.countAlone(in, out); err != nil {
			return nil, err
		}
	}
	if want&corpus.HaveTrace == 0 {
		return out, nil
	}
	return out, errors.Join(e.ears.hear(e.target, out), e.traceAlone(in, out))
}

// grow makes room for the outcomes of an input of n steps.
func (e *executor) grow(n int) {
	e.result.Steps = slices.Grow(e.result.Steps[:0], n)[:n]
	for len(e.out) < n {
		e.out = append(e.out, carve(1, len(e.out[0]))...)
	}
	for len(e.ctxOut) < n {
		e.ctxOut = append(e.ctxOut, make([]byte, e.target.shape.ContextSize))
	}
}

func (e *executor) runAlone(inst *instance, in *corpus.Input, outcomes []corpus.StepOutcome, want corpus.Have) error {
	if err := e.prepare(inst, in); err != nil {
		return err
	}
	for i := range in.Steps {
		var ctxOut []byte
		if want&corpus.HaveContext != 0 {
			ctxOut = e.ctxOut[i]
		}
		if err := e.step(inst, &in.Steps[i], &outcomes[i], e.out[i], ctxOut); err != nil {
			return err
		}
	}
	return nil
}

// traceAlone runs the input once more, in the variant that orders edges. Where the
// kernel does not accept it, the outcome has no trace.
func (e *executor) traceAlone(in *corpus.Input, out *corpus.Outcome) error {
	if e.trace == nil {
		inst, err := e.target.load(instrument.Trace)
		if _, rejected := errors.AsType[*RejectedError](err); rejected {
			return nil
		}
		if err != nil {
			return err
		}
		e.trace = inst
	}
	clear(e.trace.mem[e.trace.layout.Sequence:][:4])
	cells := e.trace.mem[e.trace.layout.Cells:][:4*len(e.trace.layout.CellEdges)]
	clear(cells)
	// Its outcomes are those that are there already.
	steps := make([]corpus.StepOutcome, len(in.Steps))
	outs := e.out
	e.out = slices.Repeat([][]byte{e.unread()}, len(in.Steps))
	err := e.runAlone(e.trace, in, steps, 0)
	e.out = outs
	if err != nil {
		return err
	}
	out.Trace = order(out.Trace, cells, e.trace.layout.CellEdges)
	out.Have |= corpus.HaveTrace
	return nil
}

// unread returns memory for an output that nobody reads.
func (e *executor) unread() []byte {
	if e.scratch == nil {
		e.scratch = make([]byte, len(e.out[0]))
	}
	return e.scratch
}

// order appends the edges that were passed, by the time of their last passage.
func order(trace []int, cells []byte, edges []int) []int {
	type passage struct {
		at   uint32
		edge int
	}
	var passed []passage
	for i, edge := range edges {
		if at := binary.NativeEndian.Uint32(cells[4*i:]); at != 0 {
			passed = append(passed, passage{at, edge})
		}
	}
	slices.SortFunc(passed, func(a, b passage) int { return int(int64(a.at) - int64(b.at)) })
	for _, p := range passed {
		trace = append(trace, p.edge)
	}
	return trace
}

// Recreate implements fuzz.Executor.
func (e *executor) Recreate(context.Context) error {
	hot, err := e.target.load(instrument.Cover)
	if err != nil {
		return err
	}
	err = errors.Join(e.hot.Close(), e.trace.Close(), e.compare.Close(), e.poison.Close(), e.count.Close())
	e.hot, e.trace, e.compare, e.poison, e.count = hot, nil, nil, nil, nil
	return errors.Join(err, hot.guide(e.target))
}

// Close implements fuzz.Executor.
func (e *executor) Close() error {
	return errors.Join(e.hot.Close(), e.trace.Close(), e.compare.Close(), e.poison.Close(), e.count.Close(), e.lab.Close(), e.ears.Close(), e.listener.Close())
}
