package packet

import (
	"encoding/binary"
	"math/bits"
)

// Sum says what a checksum is worth.
type Sum uint8

const (
	// SumAbsent means that there is no checksum, or that it cannot be judged.
	SumAbsent Sum = iota
	// SumValid means that the checksum agrees with the bytes.
	SumValid
	// SumInvalid means that it does not.
	SumInvalid
)

func (s Sum) String() string {
	switch s {
	case SumValid:
		return "valid"
	case SumInvalid:
		return "invalid"
	}
	return "absent"
}

// coverage is what a checksum is computed over: the bytes of b from..to, which
// include the checksum itself at check, after the partial sum of a pseudo header.
type coverage struct {
	from, to, check int
	pseudo          uint64
}

// summed are the layers that may have a checksum.
var summed = [layerCount]bool{IPv4: true, TCP: true, UDP: true, ICMPv4: true, ICMPv6: true, GRE: true}

// Checksum judges the checksum of header i of b. It is SumAbsent for layers
// without one, for UDP over IPv4 or of a tunnel with checksum 0, for fragments,
// and where a length field contradicts the packet, so that nobody can tell what
// the checksum should cover. l has to be the layout of b.
func (l *Layout) Checksum(b []byte, i int) Sum {
	c, ok := l.cover(b, i)
	if !ok || l.unsummed(b, i) {
		return SumAbsent
	}
	if l.Headers[i].Layer == UDP && b[c.check] == 0 && b[c.check+1] == 0 {
		return SumInvalid // no sum at all, which IPv6 forbids
	}
	if fold(sum(b[c.from:c.to], c.pseudo)) == 0xffff {
		return SumValid
	}
	return SumInvalid
}

// FixChecksums makes every checksum of b valid that can be judged, the innermost
// first since outer ones cover it. UDP sums that are 0, where that means "none",
// stay 0. l has to be the layout of b, whose lengths should be right.
func (l *Layout) FixChecksums(b []byte) {
	for i := l.N - 1; i >= 0; i-- {
		if !summed[l.Headers[i].Layer] {
			continue
		}
		c, ok := l.cover(b, i)
		if !ok || l.unsummed(b, i) {
			continue
		}
		// The old checksum is taken out of the sum instead of being zeroed first: a
		// load that overlaps a narrower store just before it stalls.
		check := b[c.check : c.check+2]
		old := binary.NativeEndian.Uint16(check)
		v := ^fold(sum(b[c.from:c.to], c.pseudo+uint64(^old)))
		if v == 0 && (l.Headers[i].Layer == UDP || onlyZeros(b, c)) {
			v = 0xffff
		}
		binary.NativeEndian.PutUint16(check, v)
	}
}

// onlyZeros reports whether all that is covered, but for the checksum, is 0: an
// ICMP echo reply without data. A sum of 0 would then be wrong.
func onlyZeros(b []byte, c coverage) bool {
	if c.pseudo != 0 {
		return false
	}
	for i, v := range b[c.from:c.to] {
		if v != 0 && c.from+i != c.check && c.from+i != c.check+1 {
			return false
		}
	}
	return true
}

// cover finds what the checksum of header i covers; ok is false where there is
// none or where it cannot be told.
func (l *Layout) cover(b []byte, i int) (c coverage, ok bool) {
	p := l.Bytes(b, i)
	if p == nil || len(p) < l.Headers[i].Layer.MinLen() {
		return c, false
	}
	off := l.Headers[i].Off
	switch l.Headers[i].Layer {
	case IPv4:
		size := int(p[0]&15) * 4
		return coverage{from: off, to: off + size, check: off + 10}, size >= 20 && size <= len(p)
	case TCP:
		return l.coverTransport(b, i, 6, 16, true)
	case UDP:
		return l.coverTransport(b, i, 17, 6, true)
	case ICMPv4:
		return l.coverTransport(b, i, 1, 2, false)
	case ICMPv6:
		return l.coverTransport(b, i, 58, 2, true)
	case GRE:
		if p[0]&0x80 == 0 || len(p) < 8 {
			return c, false
		}
		return l.coverTransport(b, i, 47, 4, false)
	}
	return c, false
}

// coverTransport finds the coverage of a transport header: to the end of its
// datagram, for UDP to the end that its length field names.
func (l *Layout) coverTransport(b []byte, i int, proto byte, check int, pseudo bool) (c coverage, ok bool) {
	h := &l.Headers[i]
	ip := l.carrier(i)
	if ip < 0 {
		return c, false
	}
	c.from, c.check = h.Off, h.Off+check
	c.to, ok = l.datagramEnd(b, ip)
	if !ok || c.to < h.End() || l.fragmented(b, ip, i) {
		return c, false
	}
	if h.Layer == UDP {
		size := int(be.Uint16(b[h.Off+4:]))
		if size < 8 || h.Off+size > c.to {
			return c, false
		}
		c.to = h.Off + size
	}
	if pseudo {
		c.pseudo, ok = l.pseudoHeader(b, ip, i, proto, c.to-c.from)
	}
	return c, ok
}

// datagramEnd returns where the datagram of IP header ip says that it ends; ok is
// false where that is beyond the packet or inside the header.
func (l *Layout) datagramEnd(b []byte, ip int) (end int, ok bool) {
	h := &l.Headers[ip]
	if h.Len < h.Layer.MinLen() {
		return 0, false
	}
	p := b[h.Off:]
	if h.Layer == IPv6 {
		end = h.Off + 40 + int(be.Uint16(p[4:]))
		return end, end <= len(b)
	}
	end = h.Off + int(be.Uint16(p[2:]))
	return end, end >= h.End() && end <= len(b) && p[0]&15 >= 5
}

// fragmented reports whether transport header i belongs to a fragment of the
// datagram of IP header ip.
func (l *Layout) fragmented(b []byte, ip, i int) bool {
	if l.Headers[ip].Layer == IPv4 {
		return be.Uint16(b[l.Headers[ip].Off+6:])&0x3fff != 0
	}
	for k := ip + 1; k < i; k++ {
		h := &l.Headers[k]
		if h.Layer == Fragment && (h.Len < 8 || be.Uint16(b[h.Off+2:])&0xfff9 != 0) {
			return true
		}
	}
	return false
}

// pseudoHeader returns the partial sum of the pseudo header.
func (l *Layout) pseudoHeader(b []byte, ip, i int, proto byte, size int) (acc uint64, ok bool) {
	off := l.Headers[ip].Off
	acc = networkOrder(uint16(proto)) + networkOrder(uint16(size)) + networkOrder(uint16(size>>16))
	if l.Headers[ip].Layer == IPv4 {
		return sum(b[off+12:off+20], acc), true
	}
	dst, ok := l.finalDestination(b, ip, i)
	if !ok {
		return 0, false
	}
	return sum(dst, sum(b[off+8:off+24], acc)), true
}

// finalDestination returns the address that an IPv6 pseudo header has: the last
// hop of a routing header that still has segments left (for SRv6 the first
// entry of its reversed list), else the header's own.
func (l *Layout) finalDestination(b []byte, ip, i int) (dst []byte, ok bool) {
	off := l.Headers[ip].Off
	dst = b[off+24 : off+40]
	for k := ip + 1; k < i; k++ {
		if l.Headers[k].Layer != Routing {
			continue
		}
		p := l.Bytes(b, k)
		if len(p) < 8 || p[3] == 0 {
			continue
		}
		if len(p) < 24 {
			return nil, false
		}
		switch p[2] {
		case 2, 4:
			dst = p[8:24]
		case 0:
			dst = p[len(p)-16:]
		default:
			return nil, false
		}
	}
	return dst, true
}

// unsummed reports whether header i is UDP with a checksum of 0 where that means
// "none": over IPv4, and for tunnels over IPv6 too (RFC 6935).
func (l *Layout) unsummed(b []byte, i int) bool {
	h := &l.Headers[i]
	if h.Layer != UDP || b[h.Off+6] != 0 || b[h.Off+7] != 0 {
		return false
	}
	if ip := l.carrier(i); ip >= 0 && l.Headers[ip].Layer == IPv4 {
		return true
	}
	return i+1 < l.N && l.Headers[i+1].Layer != Payload
}

// networkOrder returns what the 16-bit word v adds to a sum that is taken in the
// machine's byte order.
func networkOrder(v uint16) uint64 {
	var b [2]byte
	be.PutUint16(b[:], v)
	return uint64(binary.NativeEndian.Uint16(b[:]))
}

// sum adds p, in words of 32 bits, to a one's complement sum in the machine's byte
// order, which the sum does not depend on. An odd last byte counts as if a zero
// followed. acc has to be small: carries are left to fold.
func sum(p []byte, acc uint64) uint64 {
	for len(p) >= 64 { // fewer words take longer this way
		// The last carry counts as 1, since 2 to the 64 does.
		v, carry := bits.Add64(binary.NativeEndian.Uint64(p), binary.NativeEndian.Uint64(p[8:]), 0)
		v, carry = bits.Add64(v, binary.NativeEndian.Uint64(p[16:]), carry)
		v, carry = bits.Add64(v, binary.NativeEndian.Uint64(p[24:]), carry)
		acc += v>>32 + v&0xffffffff + carry
		p = p[32:]
	}
	for len(p) >= 8 {
		v := binary.NativeEndian.Uint64(p)
		acc += v>>32 + v&0xffffffff
		p = p[8:]
	}
	return acc + lastWords(p)
}

// lastWords sums less than 8 bytes.
func lastWords(p []byte) (acc uint64) {
	if len(p) >= 4 {
		acc = uint64(binary.NativeEndian.Uint32(p))
		p = p[4:]
	}
	if len(p) >= 2 {
		acc += uint64(binary.NativeEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) == 1 {
		acc += networkOrder(uint16(p[0]) << 8)
	}
	return acc
}

// fold reduces a one's complement sum to 16 bits.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}
