package packet

// FixLengths makes the length fields of b agree with its bytes, where every
// datagram reaches to the end of the packet: padding behind it becomes payload.
// Header lengths (ihl, doff) below their minimum are raised to it and those
// beyond the packet cut down to it. Lengths over 65535 are stored as 65535.
// Headers that are cut off below their minimum are left alone. l has to be the
// layout of b, and still is afterwards.
func (l *Layout) FixLengths(b []byte) {
	for i := range l.Headers[:l.N] {
		h := &l.Headers[i]
		p := l.Bytes(b, i)
		if len(p) < h.Layer.MinLen() {
			continue
		}
		rest := len(b) - h.Off
		switch h.Layer {
		case IPv4:
			put8(&p[0], p[0]&0xf0|words(p[0]&15, h.Len))
			put16(p[2:], rest)
		case IPv6:
			put16(p[4:], rest-40)
		case TCP:
			put8(&p[12], p[12]&0x0f|words(p[12]>>4, h.Len)<<4)
		case UDP:
			put16(p[4:], rest)
		case GTPU:
			put16(p[2:], rest-8)
		}
	}
}

// words returns a header length in words of 4 bytes, or the old one where a
// header that is cut off does not end at a word.
func words(old byte, size int) byte {
	if size&3 != 0 {
		return old
	}
	return byte(size >> 2)
}

// put8 and put16 store only what differs: mostly nothing does, and a load that
// overlaps a narrower store just before it stalls.
func put8(p *byte, v byte) {
	if *p != v {
		*p = v
	}
}

func put16(p []byte, n int) {
	if v := uint16(min(n, 0xffff)); be.Uint16(p) != v {
		be.PutUint16(p, v)
	}
}
