package mutate

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// headerBytes is how much of a packet holds headers in most of them. Half of the
// offsets in longer packets are drawn from there, since few programs read more.
const headerBytes = 128

// offset returns an offset below n.
func (m *Mutator) offset(n int) int {
	if n > headerBytes && m.rand.oneIn(2) {
		n = headerBytes
	}
	return m.rand.below(n)
}

// flipBit flips one bit.
func flipBit(m *Mutator, s *corpus.Step) bool {
	if len(s.Packet) == 0 {
		return false
	}
	bit := m.offset(len(s.Packet))<<3 | int(m.rand.next()&7)
	s.Packet[bit>>3] ^= 1 << (bit & 7)
	m.changed(s, bit>>3, 1)
	return true
}

// flipByte inverts 1, 2 or 4 neighbouring bytes.
func flipByte(m *Mutator, s *corpus.Step) bool {
	n := 1 << m.rand.below(3)
	if len(s.Packet) < n {
		return false
	}
	at := m.offset(len(s.Packet) - n + 1)
	for i := range n {
		s.Packet[at+i] ^= 0xff
	}
	m.changed(s, at, n)
	return true
}

// maxDelta is AFL's: large enough to pass most small comparisons, small enough
// for each delta to be likely.
const maxDelta = 35

// arithmetic adds a small number, of either sign, to 1, 2, 4 or 8 bytes in either
// byte order.
func arithmetic(m *Mutator, s *corpus.Step) bool {
	r := m.rand.next()
	width := 1 << (r & 3)
	if len(s.Packet) < width {
		return false
	}
	delta := 1 + (r>>8&0xffffff)*maxDelta>>24
	if r&4 != 0 {
		delta = -delta
	}
	at := m.offset(len(s.Packet) - width + 1)
	p, big := s.Packet[at:], r&8 != 0
	store(p, width, load(p, width, big)+delta, big)
	m.changed(s, at, width)
	return true
}

// interestingValues are boundaries of 8, 16 and 32 bits, signed and not; a wider
// one is cut to the width it is stored in.
var interestingValues = [...]uint64{
	0, 1, 0xffffffffffffffff, 16, 32, 64, 100, 127, 128, 255, 256, 512, 1000, 1024, 1500, 4096,
	0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffff80,
}

// interesting stores a boundary value in 1, 2, 4 or 8 bytes in either byte order.
func interesting(m *Mutator, s *corpus.Step) bool {
	r := m.rand.next()
	width := 1 << (r & 3)
	if len(s.Packet) < width {
		return false
	}
	v := interestingValues[int(r>>32*uint64(len(interestingValues))>>32)]
	at := m.offset(len(s.Packet) - width + 1)
	store(s.Packet[at:], width, v, r&8 != 0)
	m.changed(s, at, width)
	return true
}

// randomByte replaces a byte by a different one.
func randomByte(m *Mutator, s *corpus.Step) bool {
	if len(s.Packet) == 0 {
		return false
	}
	at := m.offset(len(s.Packet))
	s.Packet[at] ^= byte(1 + m.rand.below(255))
	m.changed(s, at, 1)
	return true
}

// randomWord replaces 2, 4 or 8 bytes by random ones. Two random bytes make a
// checksum any of its values, which changes of single bits and bytes never do:
// mistakes in carrying show for a few values only.
func randomWord(m *Mutator, s *corpus.Step) bool {
	r := m.rand.next()
	n := 2 << (r & 3 * 2 / 3) // 2, 2, 4 or 8
	if len(s.Packet) < n {
		return false
	}
	at := m.offset(len(s.Packet) - n + 1)
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], m.rand.next())
	copy(s.Packet[at:at+n], word[:])
	m.changed(s, at, n)
	return true
}

// blockLimits bound the lengths of blocks: most are as small as fields and options.
var blockLimits = [8]uint64{4, 4, 4, 4, 16, 16, 64, 1 << 20}

// blockSize returns a length of 1 to n, mostly small.
func (m *Mutator) blockSize(n int) int {
	r := m.rand.next()
	return 1 + int(r>>32*min(blockLimits[r&7], uint64(n))>>32)
}

// copyBlock copies a block of the packet over another place in it.
func copyBlock(m *Mutator, s *corpus.Step) bool {
	if len(s.Packet) < 2 {
		return false
	}
	n := m.blockSize(len(s.Packet) - 1)
	from, to := m.offset(len(s.Packet)-n+1), m.offset(len(s.Packet)-n+1)
	copy(s.Packet[to:to+n], s.Packet[from:from+n])
	m.changed(s, to, n)
	return from != to
}

// insertBlock makes room for a block that is a copy of bytes nearby, of one byte
// repeated, or of random bytes.
func insertBlock(m *Mutator, s *corpus.Step) bool {
	at := m.offset(len(s.Packet) + 1)
	n := m.blockSize(64)
	if !m.open(s, at, n) {
		return false
	}
	if from := at + n; m.rand.oneIn(2) && from+n <= len(s.Packet) {
		copy(s.Packet[at:at+n], s.Packet[from:])
		return true
	}
	m.fill(s.Packet[at : at+n])
	return true
}

// deleteBlock removes a block.
func deleteBlock(m *Mutator, s *corpus.Step) bool {
	if len(s.Packet) <= m.shape.Packet.Min {
		return false
	}
	n := m.blockSize(len(s.Packet) - m.shape.Packet.Min)
	m.close(s, m.offset(len(s.Packet)-n+1), n)
	return true
}

// fillBlock overwrites a block.
func fillBlock(m *Mutator, s *corpus.Step) bool {
	if len(s.Packet) == 0 {
		return false
	}
	n := m.blockSize(len(s.Packet))
	at := m.offset(len(s.Packet) - n + 1)
	m.fill(s.Packet[at : at+n])
	m.changed(s, at, n)
	return true
}

// fill writes one byte all over p, zero or all ones in half of the cases, or
// random bytes.
func (m *Mutator) fill(p []byte) {
	r := m.rand.next()
	k := &fillKinds[r&7]
	constant := (r>>8&0xff*0x0101010101010101)&k.repeat | k.ones
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, constant|m.rand.next()&k.random)
		p = p[8:]
	}
	last := constant | r>>8&k.random
	for i := range p {
		p[i] = byte(last)
		last >>= 8
	}
}

// fillKinds are masks: which bits are ones, which those of a repeated byte, which
// random.
var fillKinds = [8]struct{ ones, repeat, random uint64 }{
	{}, {}, {ones: all64}, {ones: all64}, {random: all64}, {random: all64}, {repeat: all64}, {repeat: all64},
}

const all64 = ^uint64(0)

// load reads an integer of 1, 2, 4 or 8 bytes.
func load(p []byte, width int, big bool) uint64 {
	switch {
	case width == 1:
		return uint64(p[0])
	case width == 2 && big:
		return uint64(binary.BigEndian.Uint16(p))
	case width == 2:
		return uint64(binary.LittleEndian.Uint16(p))
	case width == 4 && big:
		return uint64(binary.BigEndian.Uint32(p))
	case width == 4:
		return uint64(binary.LittleEndian.Uint32(p))
	case big:
		return binary.BigEndian.Uint64(p)
	}
	return binary.LittleEndian.Uint64(p)
}

// store writes the low bytes of v; the inverse of load.
func store(p []byte, width int, v uint64, big bool) {
	switch {
	case width == 1:
		p[0] = byte(v)
	case width == 2 && big:
		binary.BigEndian.PutUint16(p, uint16(v))
	case width == 2:
		binary.LittleEndian.PutUint16(p, uint16(v))
	case width == 4 && big:
		binary.BigEndian.PutUint32(p, uint32(v))
	case width == 4:
		binary.LittleEndian.PutUint32(p, uint32(v))
	case big:
		binary.BigEndian.PutUint64(p, v)
	default:
		binary.LittleEndian.PutUint64(p, v)
	}
}
