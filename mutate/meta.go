package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// metaRoom is the longest metadata that the step's buffer and the shape allow, a
// multiple of 4.
func (m *Mutator) metaRoom(s *corpus.Step) int { return min(cap(s.Meta), m.shape.Meta.Max) &^ 3 }

// metaResize gives the metadata another length. New bytes are all ones in half
// of the cases: the kernel leaves them in the headroom when the program moves
// the packet's head back, so a header that it forgets to fill shows.
func metaResize(m *Mutator, s *corpus.Step) bool {
	lo, hi, old := (m.shape.Meta.Min+3)&^3, m.metaRoom(s), len(s.Meta)
	if hi < lo {
		return false
	}
	n := lo + 4*m.rand.below((hi-lo)/4+1)
	if m.rand.oneIn(4) {
		n = hi
	}
	if n == old {
		return false
	}
	s.Meta = s.Meta[:n]
	if n > old {
		m.fill(s.Meta[old:])
	}
	return true
}

// metaBytes writes a boundary value, a dictionary entry or random bytes into a word of the metadata.
func metaBytes(m *Mutator, s *corpus.Step) bool {
	if len(s.Meta) < 4 {
		return false
	}
	p := s.Meta[m.rand.below(len(s.Meta)/4)*4:]
	r := m.rand.next()
	v := r >> 32
	switch words := m.dict.words[4]; {
	case r&3 == 0:
		v = interestingValues[m.rand.below(len(interestingValues))]
	case r&3 == 1 && len(words) > 0:
		v = words[m.rand.below(len(words))]
	}
	store(p, 4, v, r&4 != 0)
	return true
}
