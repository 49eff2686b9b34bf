package mutate

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// TestOwnOperators: operators of the caller's are applied with the mutator's random
// numbers, and what they make that the shape does not allow is put right.
func TestOwnOperators(t *testing.T) {
	shape := &corpus.Shape{
		Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 64}, ContextSize: 8,
		Context: []corpus.Field{{Name: "mark", Offset: 4, Size: 4, Min: 0, Max: 10}},
	}
	calls := 0
	m := New(shape, Options{Seed: 1, Operators: []Operator{{Name: "odd", Weight: 10_000, Apply: func(r *Rand, s *corpus.Step) bool {
		calls++
		if r.Below(2) == 0 {
			return false
		}
		s.Packet = append(s.Packet[:0], "short"...)
		s.Context = s.Context[:8]
		for i := range s.Context {
			s.Context[i] = byte(r.Uint64())
		}
		return true
	}}}})
	parent := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 20)}}}
	child := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 0, 64), Context: make([]byte, 0, 8)}}}
	changed := 0
	for range 100 {
		m.Mutate(child, parent, nil)
		if err := shape.Check(child); err != nil {
			t.Fatal(err)
		}
		if s := child.Steps[0]; len(s.Context) == 8 {
			changed++
			if s.Context[0] != 0 || getField(s.Context, &shape.Context[0]) > 10 {
				t.Fatalf("context %x is not legal", s.Context)
			}
		}
	}
	if calls < 100 || changed < 50 {
		t.Errorf("called %d times, changed %d of 100 children", calls, changed)
	}
	if n := testing.AllocsPerRun(100, func() { m.Mutate(child, parent, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
