package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// chooseCPU moves the step to a processor, or back to that of the worker.
func chooseCPU(m *Mutator, s *corpus.Step) bool {
	flags, cpu := s.Flags|corpus.OnCPU, int32(m.rand.below(m.shape.CPUs))
	if m.rand.oneIn(4) {
		flags, cpu = s.Flags&^corpus.OnCPU, 0
	}
	changed := s.Flags != flags || s.CPU != cpu
	s.Flags, s.CPU = flags, cpu
	return changed
}
