package mutate

import (
	"math/bits"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// repairs is a set of what is put right in a child.
type repairs uint8

const (
	lengths repairs = 1 << iota
	sums
)

// repairShares is what the children get, in equal shares. Most programs check
// neither lengths nor checksums and lose nothing; those that check refuse a
// broken packet early, so nearly all children should pass. The others test that
// the check is there: one in sixteen keeps what the operators left, one has right
// checksums only, since a wrong length must get past the checksum to be read, and
// one right lengths only.
var repairShares = [16]repairs{
	0, sums, lengths, lengths | sums, lengths | sums, lengths | sums, lengths | sums, lengths | sums,
	lengths | sums, lengths | sums, lengths | sums, lengths | sums, lengths | sums, lengths | sums, lengths | sums, lengths | sums,
}

// finish makes the child legal, and puts right what todo says and no operator
// broke on purpose.
func (m *Mutator) finish(todo repairs) {
	steps := m.in.Steps
	for i := range steps {
		m.legalize(&steps[i])
	}
	if m.touched == 0 || m.shape.Packet.Max <= 0 {
		return
	}
	todo &^= m.keep
	if todo == 0 {
		return
	}
	for touched := m.touched; touched != 0; touched &= touched - 1 {
		i := bits.TrailingZeros64(touched)
		if i >= len(steps) {
			return
		}
		for ; i < len(steps); i += 64 {
			m.repair(&steps[i], todo)
		}
	}
}

func (m *Mutator) repair(s *corpus.Step, todo repairs) {
	if len(s.Packet) == 0 {
		return
	}
	l := m.parse(s)
	if todo == lengths|sums && l == &m.source && m.hasPlan(s) {
		m.plan.FixLengths(s.Packet)
		m.plan.FixChecksums(l, s.Packet)
		return
	}
	if todo&lengths != 0 {
		l.FixLengths(s.Packet)
	}
	if todo&sums != 0 {
		l.FixChecksums(s.Packet)
	}
}

// Repair makes the lengths and checksums of an input's packets right.
func Repair(shape *corpus.Shape, in *corpus.Input) {
	if shape.Packet.Max <= 0 {
		return
	}
	var l packet.Layout
	for i := range in.Steps {
		p := in.Steps[i].Packet
		l.Parse(p, firstLayer(shape))
		l.FixLengths(p)
		l.FixChecksums(p)
	}
}

// answer is to a question that is asked when first needed.
type answer uint8

const (
	unknown answer = iota
	yes
	no
)

// hasPlan reports whether m.plan is for the step's packet, whose layout is that of
// the parent's. It fixes the lengths of the first such packet.
func (m *Mutator) hasPlan(s *corpus.Step) bool {
	if m.planned == unknown {
		m.planned = no
		m.source.FixLengths(s.Packet)
		if m.plan.Prepare(&m.source, s.Packet) {
			m.planned = yes
		}
	}
	return m.planned == yes
}

// legalize brings the lengths of a step within the shape's bounds. What is
// missing is filled with zeros.
func (m *Mutator) legalize(s *corpus.Step) {
	n := len(s.Packet)
	least := minPacket(m.shape, s.Packet)
	if n < least || n > m.shape.Packet.Max {
		m.parsed = nil
		s.Packet = setLen(s.Packet, min(max(n, least), m.shape.Packet.Max))
		if again := minPacket(m.shape, s.Packet); len(s.Packet) < again {
			s.Packet = setLen(s.Packet, min(again, m.shape.Packet.Max)) // an ethertype has appeared
		}
	}
	if n := len(s.Meta); n != 0 || m.shape.Meta.Min != 0 {
		s.Meta = setLen(s.Meta, max(min(n&^3, m.metaRoom(s)), (m.shape.Meta.Min+3)&^3))
	}
	if m.shape.ChanceSize > 0 {
		s.Chance = s.Chance[:min(len(s.Chance), m.shape.ChanceSize)]
	}
	if len(s.Context) != m.shape.ContextSize {
		s.Context = s.Context[:0] // the default one; no part of a context is one
	}
}

// minPacket is the smallest length that a packet with this ethertype may have.
func minPacket(shape *corpus.Shape, p []byte) int {
	least := shape.Packet.Min
	if len(p) >= 14 {
		switch {
		case p[12] == 0x08 && p[13] == 0x00:
			return max(least, shape.MinIPv4)
		case p[12] == 0x86 && p[13] == 0xdd:
			return max(least, shape.MinIPv6)
		}
	}
	return least
}

// setLen cuts p or extends it with zeros, within its capacity.
func setLen(p []byte, n int) []byte {
	old := len(p)
	p = p[:min(n, cap(p))]
	if len(p) > old {
		clear(p[old:])
	}
	return p
}
