package fuzz

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
)

// Room is the size in bytes of each buffer of a slot.
type Room struct{ Packet, Meta, Context, Chance int }

// Batch is a row of slots, one per step, that mutators fill in place and an
// executor runs. An input takes as many neighbouring slots as it has steps. All
// memory is allocated when the batch is made. A Batch is not safe for concurrent use.
type Batch struct {
	steps    []corpus.Step        // a slot each; buffers have the slot's capacity
	outcomes []corpus.StepOutcome // of the slot with the same index
	inputs   []corpus.Input       // committed inputs; their Steps lie in steps
	results  []corpus.Outcome     // of the input with the same index
	have     corpus.Have
	used     int // slots of committed inputs
	count    int // committed inputs
	maxSteps int
	order    []int         // see SetOrder
	lane     *journal.Lane // notes what is committed, nil where nothing is noted
	noted    int           // inputs
}

// NewBatch makes a batch of n slots in ordinary memory.
func NewBatch(n, maxSteps int, room Room) *Batch {
	steps := make([]corpus.Step, n)
	for i := range steps {
		steps[i] = corpus.Step{
			Packet:  make([]byte, 0, room.Packet),
			Meta:    make([]byte, 0, room.Meta),
			Context: make([]byte, 0, room.Context),
			Chance:  make([]byte, 0, room.Chance),
		}
	}
	return NewBatchOver(steps, maxSteps)
}

// NewBatchOver makes a batch whose slots are steps: the caller owns the memory
// behind their buffers, each of which has length 0 and the slot's capacity.
func NewBatchOver(steps []corpus.Step, maxSteps int) *Batch {
	return &Batch{
		steps:    steps,
		outcomes: make([]corpus.StepOutcome, len(steps)),
		inputs:   make([]corpus.Input, len(steps)),
		results:  make([]corpus.Outcome, len(steps)),
		maxSteps: max(maxSteps, 1),
		have:     corpus.HaveRet | corpus.HavePacket,
	}
}

// Reset empties the batch.
func (b *Batch) Reset() {
	b.used, b.count, b.order, b.noted = 0, 0, nil, 0
	b.lane.Begin()
}

// noteBehind is how many inputs the journal is behind while a batch is filled: bytes
// that were written a moment ago cannot be copied yet without waiting for them, and later
// they are no longer in the processor's nearest cache.
const noteBehind = 8

// note has the journal note the first n inputs.
func (b *Batch) note(n int) {
	for ; b.lane != nil && b.noted < n; b.noted++ {
		b.lane.Add(&b.inputs[b.noted])
	}
}

// noteRun says in the journal that the batch runs next.
func (b *Batch) noteRun() error {
	b.note(b.count)
	return b.lane.Run()
}

// Next returns the input to write next, or nil when the batch is full. It has no
// steps yet; its Grow and CopyFrom hand out the slots. Calling Next again without
// Commit returns the same input, empty.
func (b *Batch) Next() *corpus.Input {
	room := min(len(b.steps)-b.used, b.maxSteps)
	if room == 0 || (b.used > 0 && room < b.maxSteps) {
		return nil
	}
	in := &b.inputs[b.count]
	in.Maps = nil
	in.Steps = b.steps[b.used : b.used : b.used+room]
	return in
}

// Commit adds the input that Next returned. An input without steps is dropped.
func (b *Batch) Commit() {
	in := &b.inputs[b.count]
	if len(in.Steps) == 0 {
		return
	}
	b.results[b.count] = corpus.Outcome{Have: b.have, Steps: b.outcomes[b.used : b.used+len(in.Steps)]}
	b.used += len(in.Steps)
	b.count++
	b.note(b.count - noteBehind)
}

// SetOrder is for executors that put state back only before a batch. Their Run says
// with it which slots ran on one state, in the order in which they did; an input
// whose slots are not among them ran from the initial state. Order is the caller's
// and stays valid until the executor runs the next batch.
func (b *Batch) SetOrder(order []int) { b.order = order }

// Order returns what SetOrder was told since Reset: nil where each input ran from
// the initial state.
func (b *Batch) Order() []int { return b.order }

// Cap returns the number of slots.
func (b *Batch) Cap() int { return len(b.steps) }

// Len returns the number of committed inputs.
func (b *Batch) Len() int { return b.count }

// room returns how many bytes a journal needs for any inputs of the batch, but for map
// entries, which few inputs have.
func (b *Batch) room() int {
	n := 0
	for i := range b.steps {
		s := &b.steps[i]
		n += journal.Overhead + cap(s.Packet) + cap(s.Meta) + cap(s.Context) + cap(s.Chance)
	}
	return n
}

// Input returns the i-th committed input; it is valid until Reset.
func (b *Batch) Input(i int) *corpus.Input { return &b.inputs[i] }

// Outcome returns where the executor records, and the engine reads, the outcome
// of the i-th input; it is valid until the executor runs again.
func (b *Batch) Outcome(i int) *corpus.Outcome { return &b.results[i] }

// Slots returns the steps of all committed inputs in order.
func (b *Batch) Slots() []corpus.Step { return b.steps[:b.used] }

// Outcomes returns the outcomes of Slots, index by index.
func (b *Batch) Outcomes() []corpus.StepOutcome { return b.outcomes[:b.used] }
