package triage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// removals calls try with every input that in becomes when one thing is taken away from
// it: a step, a map entry, a byte, a value that is not zero.
func removals(in *corpus.Input, try func(what string, without *corpus.Input)) {
	remove := func(what string, change func(c *corpus.Input)) {
		c := in.Clone()
		change(c)
		try(what, c)
	}
	for i := range in.Maps {
		remove(fmt.Sprintf("entry %d", i), func(c *corpus.Input) { c.Maps = slices.Delete(c.Maps, i, i+1) })
		for k := range in.Maps[i].Value {
			remove(fmt.Sprintf("value of entry %d", i), func(c *corpus.Input) { c.Maps[i].Value[k] = 0 })
		}
	}
	for i := range in.Steps {
		step := fmt.Sprintf("step %d", i)
		if len(in.Steps) > 1 {
			remove(step, func(c *corpus.Input) { c.Steps = slices.Delete(c.Steps, i, i+1) })
		}
		remove(step+": processor", func(c *corpus.Input) { c.Steps[i].CPU = 0 })
		remove(step+": flags", func(c *corpus.Input) { c.Steps[i].Flags = 0 })
		remove(step+": fault", func(c *corpus.Input) { c.Steps[i].Fault = 0 })
		removeBytes(step+": packet", 1, remove, func(c *corpus.Input) *[]byte { return &c.Steps[i].Packet })
		removeBytes(step+": metadata", 4, remove, func(c *corpus.Input) *[]byte { return &c.Steps[i].Meta })
		removeBytes(step+": chance", 1, remove, func(c *corpus.Input) *[]byte { return &c.Steps[i].Chance })
		for k := range in.Steps[i].Context { // has one length or none
			remove(fmt.Sprintf("%s: context byte %d", step, k), func(c *corpus.Input) { c.Steps[i].Context[k] = 0 })
		}
	}
}

// removeBytes takes away units of a string, and what is in its bytes.
func removeBytes(what string, unit int, remove func(string, func(*corpus.Input)), of func(*corpus.Input) *[]byte) {
	n := 0
	remove("length", func(c *corpus.Input) { n = len(*of(c)) })
	for at := range n {
		if at%unit == 0 {
			remove(fmt.Sprintf("%s byte %d", what, at), func(c *corpus.Input) { b := of(c); *b = cut(*b, at, at+unit) })
		}
		remove(fmt.Sprintf("%s byte %d not zero", what, at), func(c *corpus.Input) { (*of(c))[at] = 0 })
	}
}

// condition is something that a random failure needs.
type condition func(in *corpus.Input) bool

// conditions returns a few random ones that in fulfils.
func conditions(rng *rand.Rand, in *corpus.Input) []condition {
	var all []condition
	for range 1 + rng.IntN(4) {
		i := rng.IntN(len(in.Steps))
		s := in.Steps[i]
		at := rng.IntN(len(s.Packet))
		value, chance := s.Packet[at], s.Chance[rng.IntN(len(s.Chance))]
		all = append(all, []condition{
			func(in *corpus.Input) bool { return len(in.Steps) > 1 },
			func(in *corpus.Input) bool { return len(in.Maps) > 0 && in.Maps[0].Value[0] != 0 },
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return len(s.Packet) > at && s.Packet[at] == value })
			},
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return slices.Contains(s.Chance, chance) })
			},
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return len(s.Packet) >= at })
			},
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return has(s.Packet, packet.UDP) })
			},
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return len(s.Context) > 3 && s.Context[3] != 0 && s.Flags != 0 })
			},
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return len(s.Meta) > 4 || s.Fault > 1 })
			},
			func(in *corpus.Input) bool {
				return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return slices.Contains(s.Packet, value) })
			},
		}[rng.IntN(9)])
	}
	return all
}

// Whatever a failure needs, nothing can be taken away from what it is minimised to: no
// single removal still fails, but for what makes lengths and checksums right. The same
// failure is minimised to the same input, within the executions that it may take.
func TestNothingCanBeRemoved(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 150 {
		in := large()
		needs := conditions(rng, in)
		calls := 0
		fails := func(in *corpus.Input) (bool, error) {
			calls++
			for _, holds := range needs {
				if !holds(in) {
					return false, nil
				}
			}
			return true, nil
		}
		if failing, _ := fails(in); !failing {
			continue // a condition that this input does not fulfil
		}
		got, err := Minimise(in, fails)
		if err != nil {
			t.Fatal(err)
		}
		if calls > DefaultMaxExecs/10 {
			t.Errorf("failure %d: %d executions", n, calls)
		}
		removals(got, func(what string, without *corpus.Input) {
			if failing, _ := fails(without); failing && measureInput(without).less(measureInput(got)) && !mended(without, got) {
				t.Errorf("failure %d: it still fails without %s", n, what)
			}
		})
		if again, _ := Minimise(in, fails); !again.Equal(got) {
			t.Errorf("failure %d: minimised again it is another input", n)
		}
	}
}

// mended reports whether making lengths and checksums right gives got.
func mended(in, got *corpus.Input) bool {
	for _, lengths := range []bool{true, false} {
		c := in.Clone()
		for i := range c.Steps {
			c.Steps[i].Packet = repaired(c.Steps[i].Packet, lengths)
		}
		if c.Equal(got) {
			return true
		}
	}
	return false
}
