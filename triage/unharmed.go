package triage

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Where the fields of a frame are whose IP header follows the Ethernet header and
// has no options.
const (
	atEthertype = 12
	atIP        = 14
	atSource4   = 26
	atSource6   = 22
	atBehind4   = 34
	atBehind6   = 54
)

// window is how many bytes of a packet a difference has a bit for.
const window = 128

// difference has a bit for each of the first 128 bytes of two packets of one
// length in which they differ. It is no array since those live in memory.
type difference struct{ low, high uint64 }

// differing compares packets of one length; ok is false where they differ beyond
// the window, or are shorter than a word.
func differing(a, b []byte) (d difference, ok bool) {
	n := min(len(a), len(b))
	if n < 8 || n > window && !bytes.Equal(a[window:], b[window:]) {
		return d, false
	}
	d.low = differingBytes(a, b, min(n, 64))
	if n > 64 {
		d.high = differingBytes(a[64:], b[64:], min(n, window)-64)
	}
	return d, true
}

// differingBytes returns a bit for each of the first n bytes, at most 64, that
// differs.
func differingBytes(a, b []byte, n int) (mask uint64) {
	a, b = a[:n], b[:n]
	at := 0
	for ; at+8 <= n; at += 8 {
		if x := binary.LittleEndian.Uint64(a[at:]) ^ binary.LittleEndian.Uint64(b[at:]); x != 0 {
			mask |= bytesOf(x) << at
		}
	}
	for ; at < n; at++ {
		if a[at] != b[at] {
			mask |= 1 << at
		}
	}
	return mask
}

// bytesOf returns a bit for each byte of x that is not 0.
func bytesOf(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	high := ((x&low + low) | x) &^ low
	return high >> 7 * 0x0102040810204080 >> 56
}

// in reports whether any of the bytes from..to-1, fewer than 64 of them, differs.
func (d difference) in(from, to int) bool {
	mask := uint64(1)<<(to-from) - 1
	if from >= 64 {
		return d.high>>(from-64)&mask != 0
	}
	return (d.low>>from|d.high<<(64-from))&mask != 0
}

// last returns the offset of the last byte that differs, -1 for none.
func (d difference) last() int {
	if d.high != 0 {
		return 127 - bits.LeadingZeros64(d.high)
	}
	return 63 - bits.LeadingZeros64(d.low)
}

// unharmed reports whether neither comparison.broken nor comparison.overlong has
// anything to say, where that can be told without a search for headers and without a sum of the payload. The
// input's checksum and the output's are both right or both wrong when what
// differs between the packets sums up to nothing.
func unharmed(before, after []byte) bool {
	if len(before) != len(after) {
		return wrapped(before, after)
	}
	d, ok := differing(before, after)
	switch last := d.last(); {
	case !ok || d.in(atEthertype, atIP):
		return false
	case last < atEthertype:
		return true
	case len(after) <= atBehind4 || last >= len(after):
		return false
	}
	switch binary.BigEndian.Uint16(after[atEthertype:]) {
	case 0x0800:
		return d.unharmed4(before, after)
	case 0x86dd:
		return d.unharmed6(before, after)
	}
	return false
}

// wrapped reports whether after is before in a tunnel of IPv4, with a right
// checksum: every other header is where it was, seen from the packet's end.
func wrapped(before, after []byte) bool {
	const grown = atBehind4 - atIP
	if len(before) <= atIP || len(after) != len(before)+grown || after[12] != 8 || after[13] != 0 || !bare4(after) {
		return false
	}
	inner := binary.BigEndian.Uint16(before[atEthertype:])
	if proto := after[23]; (inner != 0x0800 || proto != 4) && (inner != 0x86dd || proto != 41) {
		return false
	}
	if claims := int(binary.BigEndian.Uint16(after[16:])); claims != len(after)-atIP && claims != grown+claimed(before[atIP:]) {
		return false
	}
	return packet.Valid(after[atIP:atBehind4]) && bytes.Equal(before[atIP:], after[atBehind4:])
}

// claimed returns how long an IP packet says that it is; 0 where it is cut off.
func claimed(b []byte) int {
	switch {
	case len(b) < 6:
		return 0
	case b[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(b[2:]))
	}
	return 40 + int(binary.BigEndian.Uint16(b[4:]))
}

// bare4 reports whether the IPv4 header of b is one of 20 bytes and of no fragment.
func bare4(b []byte) bool {
	return b[atIP] == 0x45 && b[20]&0x3f == 0 && b[21] == 0
}

// unharmed4 is unharmed for IPv4.
func (d difference) unharmed4(a, b []byte) bool {
	if !bare4(b) || d.in(14, 15) || d.in(16, 18) || d.in(20, 22) || d.in(23, 24) {
		return false
	}
	if d.in(atIP, atBehind4) && !packet.SameSum(a[atIP:atBehind4], b[atIP:atBehind4]) {
		return false
	}
	end := atIP + int(binary.BigEndian.Uint16(b[16:]))
	if b[23] == 1 { // ICMP has no pseudo header
		return d.transport(a, b, atBehind4, atBehind4, end, 1)
	}
	return d.transport(a, b, atSource4, atBehind4, end, b[23])
}

// unharmed6 is unharmed for IPv6.
func (d difference) unharmed6(a, b []byte) bool {
	if len(b) <= atBehind6 || d.in(14, 15) || d.in(18, 19) || d.in(19, 21) {
		return false
	}
	end := atBehind6 + int(binary.BigEndian.Uint16(b[18:]))
	return d.transport(a, b, atSource6, atBehind6, end, b[20])
}

// transport goes on with what follows the IP header at offset off, to end, and
// with the addresses in front of it from offset covered on.
func (d difference) transport(a, b []byte, covered, off, end int, proto byte) bool {
	last := d.last()
	if last < covered {
		return true // nothing that counts
	}
	if end > len(b) {
		return false
	}
	size := 0 // of the part of the header that has to be there
	switch proto {
	case 1, 58:
		size = 8
		if (proto == 1) != (off == atBehind4) || len(b) < off+size || d.in(off, off+1) {
			return false
		}
	case 6:
		size = 20
		if len(b) < off+size || d.in(off+12, off+13) {
			return false
		}
	case 17:
		size = 8
		if len(b) < off+size || !d.plainUDP(a, b, off, last) {
			return false
		}
		end = off + int(binary.BigEndian.Uint16(b[off+4:]))
	default:
		return false
	}
	if end < off+size || end > len(b) {
		return false
	}
	upTo := min(end, window) // they differ nowhere behind it
	return packet.SameSum(a[covered:upTo], b[covered:upTo])
}

// plainUDP reports whether both packets have a checksum and the same length, and
// neither is a tunnel's.
func (d difference) plainUDP(a, b []byte, off, last int) bool {
	if d.in(off+4, off+6) || binary.NativeEndian.Uint16(a[off+6:]) == 0 || binary.NativeEndian.Uint16(b[off+6:]) == 0 {
		return false
	}
	tunnel := packet.TunnelPort(binary.BigEndian.Uint16(b[off+2:]))
	if d.in(off+2, off+4) {
		return !tunnel && !packet.TunnelPort(binary.BigEndian.Uint16(a[off+2:]))
	}
	return !tunnel || last < off+8
}
