package solve

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
)

const (
	// maxSweeps bounds the sweeps that wait.
	maxSweeps = 64
	// sweepsPerGoal bounds those for one side of a comparison at one input.
	sweepsPerGoal = 2
)

// sweep is an input of which one place, of 1 or 2 bytes, takes every value.
type sweep struct {
	in     *corpus.Input
	place  place
	next   uint64
	repair bool
	goal   goal
}

// plan has the bytes swept on which an operand depends.
func (st *study) plan(sub *subject) {
	deps := append(sub.deps[0][:len(sub.deps[0]):len(sub.deps[0])], sub.deps[1]...)
	if len(deps) == 0 {
		return
	}
	sound := st.in.Clone()
	mutate.Repair(st.shape, sound)
	repair := sound.Equal(st.in)
	for _, p := range words(deps)[:min(sweepsPerGoal, len(words(deps)))] {
		if p.bytes(st.in) != nil && len(st.sweeps) < maxSweeps {
			st.sweeps = append(st.sweeps, sweep{in: st.in, place: p, repair: repair, goal: sub.goal})
		}
	}
}

// Sweep writes the next input of a sweep into dst, within its capacity. It reports
// false when nothing is left.
func (s *Solver) Sweep(dst *corpus.Input) bool {
	for len(s.sweeps) > 0 {
		w := &s.sweeps[0]
		if w.next > widest(w.place.size) || !s.engine.Open(w.goal.Site, w.goal.taken) {
			s.sweeps = s.sweeps[1:]
			continue
		}
		value := w.next
		w.next++
		dst.CopyFrom(w.in)
		b := w.place.bytes(dst)
		if b == nil || w.place.part == mapPart {
			s.sweeps = s.sweeps[1:]
			continue
		}
		store(b, value)
		if w.repair {
			mutate.Repair(s.shape, dst)
		}
		mutate.Conform(s.shape, dst)
		return true
	}
	return false
}
