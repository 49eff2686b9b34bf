package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// failCall chooses which fallible call of a step fails. A run passes some of the
// program's calls, those in loops more than once: most numbers are among the first
// few. Half of the steps in which one fails already lose that, or all would soon have
// a fault.
func failCall(m *Mutator, s *corpus.Step) bool {
	r := m.rand.next()
	if s.Fault != 0 && r&1 != 0 {
		s.Fault = 0
		return true
	}
	most := 2 * len(m.shape.Faults)
	if r&2 != 0 {
		most = min(most, 4)
	}
	s.Fault = 1 + uint32(m.rand.below(most))
	return true
}
