package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// room is the longest packet that the step's buffer and the shape allow.
func (m *Mutator) room(s *corpus.Step) int { return min(cap(s.Packet), m.shape.Packet.Max) }

// open makes room for n bytes at offset at of the packet. The new bytes hold
// what was there before. It reports false where there is no room.
func (m *Mutator) open(s *corpus.Step, at, n int) bool {
	old := len(s.Packet)
	if n <= 0 || old+n > m.room(s) {
		return false
	}
	s.Packet = s.Packet[:old+n]
	copy(s.Packet[at+n:], s.Packet[at:old])
	m.stale()
	return true
}

// close removes n bytes at offset at of the packet.
func (m *Mutator) close(s *corpus.Step, at, n int) {
	copy(s.Packet[at:], s.Packet[at+n:])
	s.Packet = s.Packet[:len(s.Packet)-n]
	m.stale()
}

// resize cuts or extends the packet: to a length that the shape's bounds or the
// packet's own headers name, one more or less, or to any. Long packets are rare,
// since they cost time.
func resize(m *Mutator, s *corpus.Step) bool {
	old := len(s.Packet)
	n := max(m.shape.Packet.Min, min(m.newLength(s), m.room(s)))
	if n > cap(s.Packet) || n == old {
		return false
	}
	s.Packet = s.Packet[:n]
	if n > old {
		m.fill(s.Packet[old:])
	}
	m.stale()
	return true
}

func (m *Mutator) newLength(s *corpus.Step) int {
	r := m.rand.next()
	d := int(r>>8&2) - 1
	switch r & 15 {
	case 0:
		return m.shape.Packet.Min
	case 1:
		return m.shape.Packet.Min + 1
	case 2:
		switch r >> 16 & 3 { // rare, since long packets take long
		case 0:
			return m.shape.Packet.Max
		case 1:
			return m.shape.Packet.Max - 1
		}
		return m.rand.below(min(m.shape.Packet.Max, 2048))
	case 3, 4, 5, 6, 7:
		return len(s.Packet) + d
	case 8, 9, 10:
		return len(s.Packet) + d*(1+m.rand.below(32))
	}
	l := m.parse(s)
	if l.N == 0 {
		return len(s.Packet) + 1
	}
	return l.Headers[m.rand.below(l.N)].End() + int(r>>16&3) - 1
}
