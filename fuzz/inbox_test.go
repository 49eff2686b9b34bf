package fuzz

import (
	"slices"
	"sync"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// mailbox has inputs that come one after the other.
type mailbox struct {
	mu    sync.Mutex
	left  []*corpus.Input
	taken []*corpus.Input
	ran   int
}

func (m *mailbox) Take() []*corpus.Input {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.left) == 0 {
		return nil
	}
	one := m.left[:1:1]
	m.left, m.taken = m.left[1:], append(m.taken, one...)
	return one
}

func (m *mailbox) Ran(inputs []*corpus.Input) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ran += len(inputs)
}

// TestInputsOfOthers: what others found is run, kept where it is new, and built upon.
func TestInputsOfOthers(t *testing.T) {
	// No mutator writes a key of eight bytes.
	key := []byte{0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15}
	target := newToy(3, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if len(packet) >= 30 && slices.Equal(packet[14:22], key) {
			r.hit(1)
			if packet[22] == 7 {
				r.hit(2)
			}
		}
		return 2
	})
	found := &corpus.Input{Steps: []corpus.Step{{Packet: append(append(make([]byte, 14), key...), make([]byte, 20)...)}}}
	dull := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60)}}}
	box := &mailbox{left: []*corpus.Input{dull, found, dull}}
	var kept []*corpus.Input
	result, err := Run(t.Context(), target, Options{
		Execs: 200_000, Workers: 2, Inbox: box,
		Keep: func(inputs ...*corpus.Input) error { kept = append(kept, inputs...); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(box.left) > 0 || box.ran != 3 {
		t.Errorf("%d inputs are left, %d were run", len(box.left), box.ran)
	}
	if result.Stats.Edges != 3 {
		t.Errorf("%d edges were passed, want all 3", result.Stats.Edges)
	}
	if !slices.ContainsFunc(kept, found.Equal) {
		t.Error("what is new was not kept")
	}
}
