package expr

import (
	"sync"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// current stands for the step that is judged.
const current = -1

// scope is what one evaluation reads. It is passed by value so that evaluating
// allocates nothing.
type scope struct {
	in  *corpus.Input
	out *corpus.Outcome
	// at is the step that is judged, -1 if none ran.
	at int
	// state is nil where the expression has no use for one.
	state *state
}

// input returns what step i was given, or nil.
func (s scope) input(i int) *corpus.Step {
	if i == current {
		i = s.at
	}
	if i < 0 || i >= len(s.in.Steps) {
		return nil
	}
	return &s.in.Steps[i]
}

// outcome returns what step i gave, or nil.
func (s scope) outcome(i int) *corpus.StepOutcome {
	if i == current {
		i = s.at
	}
	if i < 0 || i >= len(s.out.Steps) {
		return nil
	}
	return &s.out.Steps[i]
}

// ran returns what step i gave if the program ran, or nil.
func (s scope) ran(i int) *corpus.StepOutcome {
	o := s.outcome(i)
	if o == nil || o.Errno != 0 {
		return nil
	}
	return o
}

// side is the packet before or after a step.
type side struct {
	step  int
	after bool
	// data is the field of the context that says how much metadata precedes the
	// packet after a run; nil where there can be none.
	data *corpus.Field
	// slot is the place of the packet's layout in a state.
	slot int
}

// bytes returns the packet; ok is false where there is none.
func (p side) bytes(s scope) (b []byte, ok bool) {
	if p.after {
		o := s.ran(p.step)
		if o == nil {
			return nil, false
		}
		return o.Packet[min(p.metadata(s, o), uint64(len(o.Packet))):], true
	}
	if step := s.input(p.step); step != nil {
		return step.Packet, true
	}
	return nil, false
}

// metadata returns the length of what the kernel puts in front of an XDP packet.
// Where the context was not recorded, it is taken to be the input's.
func (p side) metadata(s scope, o *corpus.StepOutcome) uint64 {
	if p.data == nil {
		return 0
	}
	if n := fieldValue(p.data, o.Context); n.sign == plus {
		return n.bits
	}
	if step := s.input(p.step); step != nil {
		return uint64(len(step.Meta))
	}
	return 0
}

// slot is a packet's layout, once it is parsed.
type slot struct {
	parsed bool
	// there is false where there is no packet.
	there bool
	// bytes is what layout describes.
	bytes  []byte
	layout packet.Layout
}

// state is the memory of one evaluation.
type state struct {
	slots      []slot
	key, value []byte
}

func (st *state) reset() {
	for i := range st.slots {
		st.slots[i].parsed, st.slots[i].bytes = false, nil
	}
}

// newPool returns a pool of states for expressions with so many packets.
func newPool(slots, keySize, valueSize int) *sync.Pool {
	return &sync.Pool{New: func() any {
		return &state{slots: make([]slot, slots), key: make([]byte, keySize), value: make([]byte, 0, valueSize)}
	}}
}

// parsed returns the packet's slot, parsed at most once in an evaluation.
func (p side) parsed(s scope) *slot {
	sl := &s.state.slots[p.slot]
	if sl.parsed {
		return sl
	}
	b, ok := p.bytes(s)
	sl.parsed, sl.there = true, ok
	if !ok {
		sl.layout.N = 0
		return sl
	}
	sl.bytes = b
	sl.layout.Parse(b, packet.Ethernet)
	return sl
}
