package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// donor returns a packet of the second parent, or nil.
func (m *Mutator) donor() []byte {
	if m.other == nil || len(m.other.Steps) == 0 {
		return nil
	}
	return m.other.Steps[m.rand.below(len(m.other.Steps))].Packet
}

// spliceBytes takes a block from the second parent, at the same offset in half of
// the cases, or everything from there on.
func spliceBytes(m *Mutator, s *corpus.Step) bool {
	from := m.donor()
	if len(from) == 0 || len(s.Packet) == 0 {
		return false
	}
	at := m.offset(len(from))
	to := min(at, len(s.Packet)-1)
	r := m.rand.next()
	if r&1 != 0 {
		to = m.offset(len(s.Packet))
	}
	if r&6 == 0 {
		return m.replaceTail(s, to, from[at:])
	}
	n := m.blockSize(min(len(from)-at, len(s.Packet)-to))
	copy(s.Packet[to:], from[at:at+n])
	m.changed(s, to, n)
	return true
}

// spliceLayers joins the outer headers of the packet to the inner headers of the
// second parent, at a layer that both have.
func spliceLayers(m *Mutator, s *corpus.Step) bool {
	from := m.donor()
	if len(from) == 0 {
		return false
	}
	l := m.parse(s)
	m.partner.Parse(from, m.first)
	start := m.rand.below(m.partner.N)
	for k := range m.partner.N {
		theirs := m.partner.Headers[wrap(start+k, m.partner.N)]
		if i := l.Index(theirs.Layer, 0); theirs.Off > 0 && i > 0 {
			return m.replaceTail(s, l.Headers[i].Off, from[theirs.Off:])
		}
	}
	return false
}

// replaceTail makes tail, as far as there is room, follow the first at bytes.
func (m *Mutator) replaceTail(s *corpus.Step, at int, tail []byte) bool {
	n := min(at+len(tail), m.room(s))
	if n <= at {
		return false
	}
	s.Packet = s.Packet[:n]
	copy(s.Packet[at:], tail)
	m.stale()
	return true
}
