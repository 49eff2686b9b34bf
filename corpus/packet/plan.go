package packet

import "encoding/binary"

// maxPlanned bounds the checksums of a Plan: more are found in no sane packet.
const maxPlanned = 8

// Plan remembers what the lengths of a packet are and what its checksums cover,
// for many packets that differ from each other in a few bytes only. The zero value
// is of no use.
type Plan struct {
	sums    [maxPlanned]planned
	n       int
	lengths [2 * maxPlanned]plannedLength
	fields  int
}

// plannedLength is what two bytes at offset at are, but for the bits of keep.
type plannedLength struct {
	at          int
	keep, value uint16
}

// planned is a coverage whose pseudo header is still to be read: the addresses at
// offset at, of size bytes, and a constant.
type planned struct {
	from, to, check int
	at, size        int
	constant        uint64
	udp             bool // a checksum of 0 may mean "none"
}

// Prepare makes p the plan of b and of every packet that has the same layout by
// Layout.Survives and the same length. The lengths of b are those that
// FixLengths has fixed. It reports false where there can be no plan, and p is of no use then.
func (p *Plan) Prepare(l *Layout, b []byte) bool {
	p.n = 0
	for i := l.N - 1; i >= 0; i-- {
		if l.Headers[i].Layer == Routing {
			return false // its bytes decide which address counts
		}
		c, ok := l.cover(b, i)
		if !ok {
			continue
		}
		if p.n == maxPlanned {
			return false
		}
		p.sums[p.n] = l.plan(b, i, c)
		p.n++
	}
	return p.planLengths(l, b)
}

// planLengths notes the fields that FixLengths writes, with what is in them.
func (p *Plan) planLengths(l *Layout, b []byte) bool {
	p.fields = 0
	for i := range l.Headers[:l.N] {
		h := &l.Headers[i]
		if h.Len < h.Layer.MinLen() {
			continue
		}
		if p.fields+2 > len(p.lengths) {
			return false
		}
		switch h.Layer {
		case IPv4:
			p.planLength(b, h.Off, 0x00ff)
			p.planLength(b, h.Off+2, 0)
		case IPv6, UDP:
			p.planLength(b, h.Off+4, 0)
		case TCP:
			p.planLength(b, h.Off+12, 0x00ff)
		case GTPU:
			p.planLength(b, h.Off+2, 0)
		}
	}
	return true
}

// planLength notes the two bytes at offset at, but for the bits of keep. What
// shares a byte with a header's length is what the layout survives no change of.
func (p *Plan) planLength(b []byte, at int, keep uint16) {
	p.lengths[p.fields] = plannedLength{at: at, keep: keep, value: be.Uint16(b[at:]) &^ keep}
	p.fields++
}

// FixLengths does to b what Layout.FixLengths does, for a packet that the plan is
// for.
func (p *Plan) FixLengths(b []byte) {
	for i := range p.lengths[:p.fields] {
		q := &p.lengths[i]
		put16(b[q.at:], int(be.Uint16(b[q.at:])&q.keep|q.value))
	}
}

// plan splits the pseudo header's sum into addresses and constant.
func (l *Layout) plan(b []byte, i int, c coverage) planned {
	q := planned{from: c.from, to: c.to, check: c.check, udp: l.Headers[i].Layer == UDP}
	switch l.Headers[i].Layer {
	case TCP, UDP, ICMPv6:
	default:
		return q
	}
	ip := &l.Headers[l.carrier(i)]
	q.at, q.size = ip.Off+8, 32
	if ip.Layer == IPv4 {
		q.at, q.size = ip.Off+12, 8
	}
	q.constant = c.pseudo - sum(b[q.at:q.at+q.size], 0)
	return q
}

// FixChecksums does to b what Layout.FixChecksums does, for a packet that the
// plan is for; l is its layout.
func (p *Plan) FixChecksums(l *Layout, b []byte) {
	for i := range p.sums[:p.n] {
		q := &p.sums[i]
		check := b[q.check : q.check+2]
		old := binary.NativeEndian.Uint16(check)
		if q.udp && old == 0 {
			l.FixChecksums(b) // its rule depends on what is around
			return
		}
		v := ^fold(sum(b[q.from:q.to], sum(b[q.at:q.at+q.size], q.constant)+uint64(^old)))
		if v == 0 && (q.udp || onlyZeros(b, coverage{q.from, q.to, q.check, q.constant})) {
			v = 0xffff
		}
		binary.NativeEndian.PutUint16(check, v)
	}
}
