package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// callTime is how many nanoseconds a call is to take at most: stopping waits for one,
// and in that time its costs are next to nothing.
const callTime = 1_000_000

// maxStuck is how many calls in a row signals may interrupt before they got anywhere.
const maxStuck = 1000

// batchExecutor runs the steps of a batch with one BPF_PROG_RUN call, or few: the
// program takes one packet after another from memory that it shares with us, where
// mutators wrote them, and leaves there what came of them. What a batch cannot do
// the single executor does.
type batchExecutor struct {
	single *executor
	// inst is what ran last: hot, or scorer, which runs the same slots. The latter is
	// loaded on demand and stays nil where it cannot be.
	inst, hot, scorer *batchInstance
	scorerTried       bool

	batch *fuzz.Batch

	looksAt looksAt
	// addresses are those of interfaces by index; that of lo, index 0, is zero.
	addresses map[uint16][6]byte
	jobs      []job
	rows      []int // jobs with which a row of one key begins
	alone     []int // inputs that do not go into batches
	failed    []bool
	kept      []byte // outputs of what the single executor ran
	stretch   int    // descriptors that the next call gets
	ran       []int  // slots that ran on one state, in their order
	batches   int    // that were run

	// For sortJobs.
	sorted []job
	next   []int
	table  []keyEntry // twice as many as slots, a power of two
}

// newBatchExecutor makes an executor of batches on top of one that runs single
// packets, on the same thread. The error says in one line why there can be none;
// single is as it was then.
func newBatchExecutor(single *executor) (*batchExecutor, error) {
	t := single.target
	layout, err := t.batchLayout()
	if err != nil {
		return nil, err
	}
	inst, err := t.loadBatch(layout)
	if err != nil {
		return nil, err
	}
	addresses, err := readAddresses()
	if err != nil {
		return nil, errors.Join(err, inst.Close())
	}
	n := layout.Slots
	b := &batchExecutor{
		single: single, inst: inst, hot: inst, batch: fuzz.NewBatchOver(inst.steps(t.shape), t.shape.MaxSteps),
		jobs: make([]job, 0, n), sorted: make([]job, 0, n), rows: make([]int, 0, n), alone: make([]int, 0, n),
		failed: make([]bool, n), ran: make([]int, 0, n), stretch: n, next: make([]int, n), table: make([]keyEntry, 2*n),
		looksAt: t.looksAt(layout.Packets), addresses: addresses,
	}
	return b, nil
}

// steps returns the slots: packets and metadata lie in the batch map.
func (b *batchInstance) steps(shape *corpus.Shape) []corpus.Step {
	l := b.batch
	steps := make([]corpus.Step, l.Slots)
	contexts := carve(l.Slots, shape.ContextSize)
	for i := range steps {
		packet, meta, chance := l.Packet(i), l.Meta(i), l.Chance(i)
		steps[i] = corpus.Step{
			Packet: b.value[packet : packet : packet+l.Room], Meta: b.value[meta : meta : meta+shape.Meta.Max],
			Context: contexts[i][:0], Chance: b.value[chance : chance : chance+chanceRoom],
		}
	}
	return steps
}

func (b *batchExecutor) target() *Target { return b.single.target }

// Describe implements fuzz.Executor.
func (b *batchExecutor) Describe() string {
	kept := ""
	if b.target().keep {
		kept = ", map state kept"
	}
	return fmt.Sprintf("batch: up to %d packets in one BPF_PROG_RUN call, instrumented %s%s", b.inst.batch.Slots, b.target().Rung(), kept)
}

// Batch implements fuzz.Executor.
func (b *batchExecutor) Batch() *fuzz.Batch { return b.batch }

// Cover implements fuzz.Executor.
func (b *batchExecutor) Cover() []byte { return b.inst.mem[:b.target().table.Len()] }

// Run implements fuzz.Executor. All inputs start from one map state, which is put
// back before; what one of them changes the next ones see. Some batches are run
// input by input instead, see apart.
func (b *batchExecutor) Run(ctx context.Context) error {
	b.inst = b.hot
	return b.run(ctx)
}

func (b *batchExecutor) run(ctx context.Context) error {
	clear(b.Cover())
	if err := b.inst.state.restore(); err != nil {
		return err
	}
	if b.batches++; b.apart() {
		b.planApart()
	} else {
		b.plan()
	}
	b.describe()
	for i, first := range b.rows {
		end := len(b.jobs)
		if i+1 < len(b.rows) {
			end = b.rows[i+1]
		}
		if err := b.runRow(ctx, first, end); err != nil {
			return err
		}
	}
	b.collect()
	b.batch.SetOrder(b.ran)
	return b.runAlone(ctx)
}

// plan divides the inputs into those that go into a batch and the others.
func (b *batchExecutor) plan() {
	b.jobs, b.alone = b.jobs[:0], b.alone[:0]
	slot := 0
	for i := range b.batch.Len() {
		in := b.batch.Input(i)
		begin := len(b.jobs)
		fits := len(in.Maps) == 0
		for n := range in.Steps {
			k, ok := b.fits(&in.Steps[n])
			if fits = fits && ok; !fits {
				break
			}
			b.jobs = append(b.jobs, job{slot: slot + n, last: n == len(in.Steps)-1, key: k})
		}
		if !fits {
			b.jobs = b.jobs[:begin]
			b.alone = append(b.alone, i)
		}
		slot += len(in.Steps)
	}
	b.order()
}

// describe writes the descriptors.
func (b *batchExecutor) describe() {
	l, steps := b.inst.batch, b.batch.Slots()
	native := binary.NativeEndian
	out := 0
	for i := range b.jobs {
		j := &b.jobs[i]
		s := &steps[j.slot]
		d := b.inst.value[l.Desc(i):][:instrument.DescSize]
		clear(d)
		native.PutUint32(d[instrument.DescIn:], uint32(j.slot*l.Stride))
		native.PutUint32(d[instrument.DescOut:], uint32(out))
		native.PutUint32(d[instrument.DescLen:], uint32(len(s.Packet)))
		native.PutUint16(d[instrument.DescMeta:], uint16(len(s.Meta)))
		native.PutUint32(d[instrument.DescFault:], s.Fault)
		if j.last {
			d[instrument.DescFlags] = instrument.DescEnds
		}
		if i == 0 || b.jobs[i-1].last {
			d[instrument.DescFlags] |= instrument.DescBegins
		}
		clear(b.inst.value[l.Chance(j.slot)+len(s.Chance) : l.Chance(j.slot)+chanceRoom])
		out += l.OutRoom(len(s.Packet), len(s.Meta))
		if l.Packets == instrument.SKB {
			describeContext(d, s)
		}
	}
}

// describeContext copies the fields that programs can write, in which any value is
// legal, and the length on the wire.
func describeContext(d []byte, s *corpus.Step) {
	wire := uint32(0)
	if ctx := s.Context; len(ctx) == skbSize {
		copy(d[instrument.DescMark:][:4], ctx[8:])
		copy(d[instrument.DescPriority:][:4], ctx[32:])
		copy(d[instrument.DescCB:][:20], ctx[48:])
		copy(d[instrument.DescTstamp:][:8], ctx[152:])
		if wire = binary.NativeEndian.Uint32(ctx[skbOffWireLen:]); wire > maxWireLen {
			wire %= maxWireLen + 1 // as fixContext does
		}
	}
	binary.NativeEndian.PutUint32(d[instrument.DescWire:], max(wire, uint32(len(s.Packet))))
}

// runRow runs the descriptors [at, end), whose packets are alike in what a call
// fixes.
func (b *batchExecutor) runRow(ctx context.Context, at, end int) error {
	stuck := 0
	for at < end {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		limit := min(end, at+b.stretch)
		b.begin(at, limit)
		errno := b.inst.run.DoLong()
		next := b.reached(errno)
		if stuck++; next > at {
			stuck = 0
		}
		if errno != 0 && errno != unix.EINTR || stuck > 0 && errno == 0 || stuck == maxStuck {
			b.fail(at, end)
			return nil
		}
		if errno == 0 {
			b.adapt(next-at, limit-at)
		}
		at = next
	}
	return nil
}

// begin readies a call that runs descriptors [at, limit).
func (b *batchExecutor) begin(at, limit int) {
	header := b.inst.value[:instrument.BatchHeader]
	native := binary.NativeEndian
	clear(header)
	native.PutUint32(header[instrument.BatchIndex:], uint32(at))
	native.PutUint32(header[instrument.BatchLimit:], uint32(limit))
	packet := b.batch.Slots()[b.jobs[at].slot].Packet
	b.inst.run.SetData(packet, nil)
	b.inst.run.SetContext(b.callContext(b.jobs[at].key, len(packet)), nil)
	b.inst.run.SetRepeat(uint32(limit - at + 1))
}

// reached returns the descriptor with which to go on after a call. What a signal
// interrupted before its outcome was stored has to run again.
func (b *batchExecutor) reached(errno syscall.Errno) int {
	header := b.inst.value[:instrument.BatchHeader]
	next := int(binary.NativeEndian.Uint32(header[instrument.BatchIndex:]))
	if errno == unix.EINTR {
		next -= int(binary.NativeEndian.Uint32(header[instrument.BatchRunning:]))
	}
	return next
}

// adapt learns how far calls should go from one that ran done descriptors of wanted:
// each repetition behind an early stop is lost, and nobody can stop a call.
func (b *batchExecutor) adapt(done, wanted int) {
	switch {
	case done < wanted:
		b.stretch = max(done, 1)
	case wanted == b.stretch:
		b.stretch = min(2*b.stretch, b.inst.batch.Slots)
	}
	if took := int(b.inst.run.Duration()) * (wanted + 1); took > callTime {
		b.stretch = min(b.stretch, max(1, done*callTime/took))
	}
}

// fail says that descriptors [at, end) have no outcome.
func (b *batchExecutor) fail(at, end int) {
	for ; at < end; at++ {
		d := b.inst.value[b.inst.batch.Desc(at):]
		binary.NativeEndian.PutUint32(d[instrument.DescFailed:], 1)
	}
}

// collect makes outcomes of the descriptors; those that have none run alone, and all of
// them where a claim did not hold in one of their runs.
func (b *batchExecutor) collect() {
	l, outcomes := b.inst.batch, b.batch.Outcomes()
	native := binary.NativeEndian
	failed, violated := false, b.inst.violatedAny()
	b.ran = b.ran[:0]
	for i := range b.jobs {
		d := b.inst.value[l.Desc(i):][:instrument.DescSize]
		slot := b.jobs[i].slot
		if violated || native.Uint32(d[instrument.DescFailed:]) != 0 {
			b.failed[slot], failed = true, true
			continue
		}
		from := l.Out + int(native.Uint32(d[instrument.DescOut:]))
		end := from + int(native.Uint32(d[instrument.DescOutLen:]))
		b.ran = append(b.ran, slot)
		outcomes[slot] = corpus.StepOutcome{Ret: native.Uint32(d[instrument.DescRet:]), Packet: b.inst.value[from:end:end]}
	}
	if !failed {
		return
	}
	slot := 0
	for i := range b.batch.Len() {
		again := false
		for range b.batch.Input(i).Steps {
			again = again || b.failed[slot]
			b.failed[slot] = false
			slot++
		}
		if again {
			b.alone = append(b.alone, i)
		}
	}
}

// runAlone has the single executor run what did not fit into batches, from the
// initial state.
func (b *batchExecutor) runAlone(ctx context.Context) error {
	if len(b.alone) == 0 {
		return nil
	}
	e := b.single
	b.kept = b.kept[:0]
	clear(e.Cover())
	for _, i := range b.alone {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		in, out := b.batch.Input(i), b.batch.Outcome(i)
		if err := e.prepare(e.hot, in); err != nil {
			return err
		}
		for n := range in.Steps {
			if err := e.step(e.hot, &in.Steps[n], &out.Steps[n], e.out[0], nil); err != nil {
				return err
			}
			b.keep(&out.Steps[n])
		}
		e.hot.foldLoops()
	}
	all := b.Cover()
	for i, bits := range e.Cover() {
		all[i] |= bits
	}
	return nil
}

// keep moves the output of a step out of the way of the next one.
func (b *batchExecutor) keep(o *corpus.StepOutcome) {
	from := len(b.kept)
	b.kept = append(b.kept, o.Packet...)
	o.Packet = b.kept[from:len(b.kept):len(b.kept)]
}

// Alone implements fuzz.Executor.
func (b *batchExecutor) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	return b.single.Alone(ctx, in, want)
}

// Recreate implements fuzz.Executor. The programs that run batches stay: what they
// find is confirmed alone.
func (b *batchExecutor) Recreate(ctx context.Context) error { return b.single.Recreate(ctx) }

// Close implements fuzz.Executor.
func (b *batchExecutor) Close() error {
	return errors.Join(b.scorer.Close(), b.hot.Close(), b.single.Close())
}
