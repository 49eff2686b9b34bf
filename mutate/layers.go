package mutate

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Once in so many times a change of layers is made that no next-protocol field
// can express, or its field is left as it was: parsers have to survive that too,
// but mostly refuse it at once.
const inconsistentOneIn = 8

// link makes the header say what follows it and reports whether it can.
func link(p []byte, h packet.Header, next packet.Layer) bool {
	return packet.SetNext(p[h.Off:h.End()], h.Layer, next)
}

// layerAt returns the layer of header i; what follows the last is payload.
func layerAt(l *packet.Layout, i int) packet.Layer {
	if i < l.N {
		return l.Headers[i].Layer
	}
	return packet.Payload
}

// canFollow reports whether some value of parent's next-protocol field, or
// parent's nature, says that child follows.
func canFollow(parent, child packet.Layer) bool { return follows.can[parent][child] }

// followTable answers by parent what the chain of selectors answers.
type followTable struct {
	can      [packet.Payload + 1][packet.Payload + 1]bool
	children [packet.Payload + 1][]packet.Layer // without payload, which follows by being nothing else
}

// follows is read only.
var follows = makeFollows()

func makeFollows() *followTable {
	t := &followTable{}
	for parent := packet.Ethernet; parent < packet.Payload; parent++ {
		for child := packet.Ethernet; child < packet.Payload; child++ {
			if selects(parent, child) {
				t.can[parent][child] = true
				t.children[parent] = append(t.children[parent], child)
			}
		}
	}
	return t
}

func selects(parent, child packet.Layer) bool {
	switch parent {
	case packet.MPLS:
		return child == packet.MPLS || child.IsIP()
	case packet.VXLAN:
		return child == packet.Ethernet
	case packet.GTPU:
		return child.IsIP()
	}
	_, ok := packet.Selector(parent, child)
	return ok
}

// insertLayer puts one of the encapsulations between two headers.
func insertLayer(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	t := &encapsulations[m.rand.below(len(encapsulations))]
	start := m.rand.below(l.N)
	for k := range l.N {
		i := wrap(start+k, l.N)
		parent, child := l.Headers[i], layerAt(l, i+1)
		if !canFollow(parent.Layer, t.head) || !canFollow(t.tail, child) {
			continue
		}
		at := parent.End()
		if !m.open(s, at, len(t.bytes)) {
			return false
		}
		copy(s.Packet[at:], t.bytes)
		packet.SetNext(s.Packet[at+t.tailOff:at+len(t.bytes)], t.tail, child)
		if !m.rand.oneIn(inconsistentOneIn) {
			link(s.Packet, parent, t.head)
		}
		return true
	}
	return false
}

// dropLayer removes one to four neighbouring headers, such that the one before
// can name the one behind.
func dropLayer(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	if l.N < 2 {
		return false
	}
	start := m.rand.below(l.N - 1)
	for k := range l.N - 1 {
		i := 1 + wrap(start+k, l.N-1)
		for j := i + 1; j <= min(i+4, l.N); j++ {
			parent, next := l.Headers[i-1], layerAt(l, j)
			if !canFollow(parent.Layer, next) && !m.rand.oneIn(inconsistentOneIn) {
				continue
			}
			at := l.Headers[i].Off
			link(s.Packet, parent, next)
			m.close(s, at, l.Headers[j-1].End()-at)
			return true
		}
	}
	return false
}

// duplicateLayer repeats a header.
func duplicateLayer(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	if l.N < 2 {
		return false
	}
	start := m.rand.below(l.N - 1)
	for k := range l.N - 1 {
		h := l.Headers[1+wrap(start+k, l.N-1)]
		if !canFollow(h.Layer, h.Layer) && !m.rand.oneIn(inconsistentOneIn) {
			continue
		}
		if !m.open(s, h.End(), h.Len) {
			return false
		}
		copy(s.Packet[h.End():], s.Packet[h.Off:h.End()])
		link(s.Packet, h, h.Layer)
		return true
	}
	return false
}

// swapLayers exchanges two neighbouring headers, neither of which is the first or
// the payload.
func swapLayers(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	if l.N < 3 {
		return false
	}
	i := 1 + m.rand.below(l.N-2)
	parent, a, b, next := l.Headers[i-1], l.Headers[i], l.Headers[i+1], layerAt(l, i+2)
	if b.Layer == packet.Payload || a.Len > len(m.scratch) {
		return false
	}
	copy(m.scratch[:], s.Packet[a.Off:a.End()])
	copy(s.Packet[a.Off:], s.Packet[b.Off:b.End()])
	copy(s.Packet[a.Off+b.Len:], m.scratch[:a.Len])
	a.Off, b.Off = a.Off+b.Len, a.Off
	if !m.rand.oneIn(inconsistentOneIn) {
		link(s.Packet, parent, b.Layer)
		link(s.Packet, b, a.Layer)
		link(s.Packet, a, next)
	}
	m.stale()
	return true
}

// retypeLayer replaces a header by one of another layer that can stand there.
func retypeLayer(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	if l.N < 2 {
		return false
	}
	i := 1 + m.rand.below(l.N-1)
	parent, old, next := l.Headers[i-1], l.Headers[i], layerAt(l, i+1)
	layer := m.sibling(parent.Layer, old.Layer)
	if layer == packet.None {
		return false
	}
	header := basic(layer)
	if old.Layer == packet.Payload {
		old.Len = 0 // it becomes the new header's payload
	}
	if d := len(header) - old.Len; d > 0 {
		if !m.open(s, old.End(), d) {
			return false
		}
	} else {
		m.close(s, old.Off, -d)
	}
	copy(s.Packet[old.Off:], header)
	packet.SetNext(s.Packet[old.Off:old.Off+len(header)], layer, next)
	link(s.Packet, parent, layer)
	m.stale()
	return true
}

// sibling chooses a layer other than old that parent can name, or None.
func (m *Mutator) sibling(parent, old packet.Layer) packet.Layer {
	children := follows.children[parent]
	if len(children) == 0 {
		return packet.None
	}
	i := m.rand.below(len(children))
	if children[i] == old {
		i = wrap(i+1, len(children))
	}
	if children[i] == old {
		return packet.None
	}
	return children[i]
}

// retypeSelector makes a header name another next layer than it has, so that the
// bytes behind it are read as something else.
func retypeSelector(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	start := m.rand.below(l.N)
	for k := range l.N {
		i := wrap(start+k, l.N)
		h := l.Headers[i]
		if layer := m.sibling(h.Layer, layerAt(l, i+1)); layer != packet.None && link(s.Packet, h, layer) {
			m.stale()
			return true
		}
	}
	return false
}
