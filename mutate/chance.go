package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// chanceRoom is how many bytes the step's buffer and the shape allow.
func (m *Mutator) chanceRoom(s *corpus.Step) int { return min(cap(s.Chance), m.shape.ChanceSize) }

// chanceBytes changes what virtual helpers answer: a word becomes a random number, a
// boundary value or one that the program compares with, or a power of two, which
// among lengths of time reaches all scales alike. Behind the end bytes count as zeros.
func chanceBytes(m *Mutator, s *corpus.Step) bool {
	room := m.chanceRoom(s)
	r := m.rand.next()
	size := 4
	if r&1 != 0 {
		size = 8
	}
	if room < size {
		return false
	}
	// Early bytes are used by every run that asks at all.
	at := 4 * m.rand.below(min(room-size, len(s.Chance))/4+1)
	if r&2 != 0 {
		at = m.rand.below(min(room-size, len(s.Chance)) + 1)
	}
	if end := at + size; end > len(s.Chance) {
		old := len(s.Chance)
		s.Chance = s.Chance[:end]
		clear(s.Chance[old:])
	}
	v := m.rand.next()
	switch words := m.dict.words[size]; {
	case r&12 == 0:
		v = interestingValues[m.rand.below(len(interestingValues))]
	case r&12 == 4 && len(words) > 0:
		v = words[m.rand.below(len(words))]
	case r&12 == 8:
		v = 1 << (v % 48)
	}
	store(s.Chance[at:], size, v, false)
	return true
}

// chanceShorter cuts answers off, so that they are zeros.
func chanceShorter(m *Mutator, s *corpus.Step) bool {
	if len(s.Chance) == 0 {
		return false
	}
	s.Chance = s.Chance[:m.rand.below(len(s.Chance))]
	return true
}
