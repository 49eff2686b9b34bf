package mutate

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// TCP flag bytes.
const (
	fin = 0x01
	syn = 0x02
	rst = 0x04
	psh = 0x08
	ack = 0x10
)

// flow is where addresses and ports of one IP header and its transport header
// are. Indices are -1 where the packet has none or not all of it.
type flow struct {
	ip, transport int
	layer         packet.Layer // of the IP header
	kind          packet.Layer // of the transport header
}

// findFlow finds the nth IP header and what it carries.
func findFlow(l *packet.Layout, nth int) flow {
	f := flow{ip: -1, transport: -1}
	for i := range l.Headers[:l.N] {
		h := &l.Headers[i]
		switch {
		case h.Layer.IsIP() && h.Len >= h.Layer.MinLen():
			if f.ip >= 0 {
				return f
			}
			if nth--; nth < 0 {
				f.ip, f.layer = h.Off, h.Layer
			}
		case f.ip >= 0 && h.Layer >= packet.TCP && h.Layer <= packet.ICMPv6 && h.Len >= h.Layer.MinLen():
			f.transport, f.kind = h.Off, h.Layer
			return f
		}
	}
	return f
}

// addresses returns the source's offset and the size of each address.
func (f *flow) addresses() (at, size int) {
	if f.layer == packet.IPv4 {
		return f.ip + 12, 4
	}
	return f.ip + 8, 16
}

func (f *flow) hasPorts() bool {
	return f.transport >= 0 && (f.kind == packet.TCP || f.kind == packet.UDP)
}

// reverse turns a packet of the flow into one of the other direction.
func (f *flow) reverse(p []byte) {
	at, size := f.addresses()
	exchange(p[at:at+size], p[at+size:at+2*size])
	switch {
	case f.hasPorts():
		exchange(p[f.transport:f.transport+2], p[f.transport+2:f.transport+4])
	case f.kind == packet.ICMPv4 && p[f.transport]&^8 == 0: // echo is 8, its reply 0
		p[f.transport] ^= 8
	case f.kind == packet.ICMPv6 && p[f.transport]&^1 == 128:
		p[f.transport] ^= 1
	}
}

func exchange(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// reverseStep reverses one of the packet's flows, and its MAC addresses with the
// outermost, and reports whether it has one.
func (m *Mutator) reverseStep(s *corpus.Step) bool {
	l := m.parse(s)
	nth := 0
	if m.rand.oneIn(4) { // tunnelled flows; the outer one matters to most programs
		nth = 1
	}
	f := findFlow(l, nth)
	if f.ip < 0 {
		return false
	}
	if nth == 0 && l.Headers[0].Layer == packet.Ethernet && l.Headers[0].Len == 14 {
		exchange(s.Packet[:6], s.Packet[6:12])
	}
	f.reverse(s.Packet)
	m.stale() // a port that became the destination may name a tunnel
	return true
}

// reverseFlow turns the packet round.
func reverseFlow(m *Mutator, s *corpus.Step) bool { return m.reverseStep(s) }

// followFlow adds, right behind a step, the next packet of the same flow: for TCP
// the next state of its connection, else the same packet or its reply.
func followFlow(m *Mutator, s *corpus.Step) bool {
	f := findFlow(m.parse(s), 0)
	if f.ip < 0 || m.grow(m.at) == nil {
		return false
	}
	next := &m.in.Steps[m.at+1]
	reply := m.rand.oneIn(2)
	if f.transport >= 0 && f.kind == packet.TCP && len(next.Packet) >= f.transport+20 {
		reply = m.advanceTCP(next.Packet[f.transport:])
	}
	if reply && len(next.Packet) == len(s.Packet) {
		f.reverse(next.Packet)
		if m.first == packet.Ethernet {
			exchange(next.Packet[:6], next.Packet[6:12])
		}
	}
	return true
}

// advanceTCP turns a segment into the one that follows it in a connection and
// reports whether that one goes in the other direction.
func (m *Mutator) advanceTCP(tcp []byte) (reply bool) {
	r := m.rand.next()
	old := tcp[13] &^ (0xc0 | psh)
	next := [4]byte{ack, psh | ack, fin | ack, rst}[r&3]
	reply = r&4 != 0
	switch {
	case r&0x70 == 0: // out of order now and then
		next = [4]byte{syn, syn | ack, fin | ack, rst | ack}[r&3]
	case old == syn:
		next, reply = syn|ack, true
	case old == syn|ack:
		next, reply = ack, true
	case old&fin != 0:
		next = [4]byte{ack, fin | ack, ack, rst}[r&3]
		reply = true
	}
	tcp[13] = next
	seq, acked := load(tcp[4:], 4, true), load(tcp[8:], 4, true)
	if old&(syn|fin) != 0 {
		seq++
	}
	if reply {
		seq, acked = acked, seq
	}
	store(tcp[4:], 4, seq, true)
	store(tcp[8:], 4, acked, true)
	return reply
}

// joinFlow gives a step the addresses and ports of another one.
func joinFlow(m *Mutator, s *corpus.Step) bool {
	i := m.rand.below(len(m.in.Steps))
	if i == m.at {
		return false
	}
	from := m.in.Steps[i].Packet
	m.partner.Parse(from, m.first)
	b := findFlow(&m.partner, 0)
	return m.join(s, from, &b, m.rand.oneIn(2))
}

// carryFlow gives all steps the addresses and ports of one of them: each is a packet of
// that flow then, in either direction.
func carryFlow(m *Mutator, s *corpus.Step) bool {
	from := s.Packet
	m.partner.Parse(from, m.first)
	f := findFlow(&m.partner, 0)
	joined := false
	for i := range m.in.Steps {
		if o := &m.in.Steps[i]; o != s && m.join(o, from, &f, m.rand.oneIn(2)) {
			joined = true
			m.touched |= 1 << (i & 63)
		}
	}
	return joined
}

// join gives a step addresses and, where both have them, ports of a flow of the packet
// from, or of its reverse, and reports whether it could.
func (m *Mutator) join(s *corpus.Step, from []byte, f *flow, reverse bool) bool {
	if f.ip < 0 {
		return false
	}
	own := findFlow(m.parse(s), 0)
	if own.ip < 0 || own.layer != f.layer {
		return false
	}
	to, size := own.addresses()
	at, _ := f.addresses()
	copy(s.Packet[to:to+2*size], from[at:at+2*size])
	if own.hasPorts() && f.hasPorts() {
		copy(s.Packet[own.transport:own.transport+4], from[f.transport:f.transport+4])
	}
	if reverse {
		own.reverse(s.Packet)
	}
	m.stale()
	return true
}
