package packet

// MaxHeaders bounds the headers of a Layout; what lies behind the last one that
// fits is its Payload.
const MaxHeaders = 24

// Header is a header found in a packet.
type Header struct {
	Layer Layer
	// Off is where the header starts. Len is how many of its bytes are there,
	// options included: less than Layer.MinLen where the packet ends early, and
	// never beyond the packet.
	Off, Len int
}

// End returns the offset of the byte behind the header.
func (h Header) End() int { return h.Off + h.Len }

// Layout lists the headers of a packet, outermost first. It is a value to be
// reused; the zero value is the layout of an empty packet. It holds offsets only,
// so it goes stale when the packet's structure changes.
type Layout struct {
	// Headers[:N] are adjacent and together cover the whole packet.
	Headers [MaxHeaders]Header
	N       int
}

// Parse finds the headers of b, which starts with a header of layer first;
// None stands for Ethernet, and no layer at all is payload. Headers inside tunnels and the packet that an ICMP
// error quotes are included. A length field that contradicts the minimum of its
// header is read as the minimum, one that points beyond b as the end of b.
func (l *Layout) Parse(b []byte, first Layer) {
	if first == None {
		first = Ethernet
	}
	if first >= layerCount {
		first = Payload
	}
	off, n := 0, 0
	for layer := first; off < len(b); n++ {
		if n == MaxHeaders-1 {
			layer = Payload
		}
		size, next := measure(layer, b[off:])
		if layer == Payload || size >= len(b)-off {
			size, next = len(b)-off, None
		}
		l.Headers[n] = Header{Layer: layer, Off: off, Len: size}
		off += size
		layer = next
	}
	l.N = n
}

// Find returns the nth header of the layer, counted from 0 at the outermost.
func (l *Layout) Find(layer Layer, nth int) (Header, bool) {
	i := l.Index(layer, nth)
	if i < 0 {
		return Header{}, false
	}
	return l.Headers[i], true
}

// Index returns the index in Headers of the nth header of the layer, or -1.
func (l *Layout) Index(layer Layer, nth int) int {
	for i := range l.Headers[:l.N] {
		if l.Headers[i].Layer != layer {
			continue
		}
		if nth == 0 {
			return i
		}
		nth--
	}
	return -1
}

// Bytes returns the bytes of header i of the packet b that l was parsed from; its
// capacity ends where the header does. It is nil where there is no such header or
// b has become too short for it.
func (l *Layout) Bytes(b []byte, i int) []byte {
	if i < 0 || i >= l.N {
		return nil
	}
	h := &l.Headers[i]
	if h.End() > len(b) {
		return nil
	}
	return b[h.Off:h.End():h.End()]
}

// carrier returns the index of the IP header that carries header i, or -1.
func (l *Layout) carrier(i int) int {
	for i--; i >= 0; i-- {
		layer := l.Headers[i].Layer
		if layer.IsIP() {
			return i
		}
		if !layer.IsExtension() {
			return -1
		}
	}
	return -1
}

// structural marks the bytes of each header, counted from bit 0, on which the
// kind, place and length of this or other headers depend, or what checksums
// cover. All ones stand for the whole
// header however long.
var structural = [layerCount]uint64{
	Ethernet: 1<<12 | 1<<13,
	VLAN:     1<<2 | 1<<3,
	ARP:      1<<4 | 1<<5,
	IPv4:     1<<0 | 1<<6 | 1<<7 | 1<<9,
	IPv6:     1<<0 | 1<<6,
	HopByHop: 1<<0 | 1<<1,
	Routing:  1<<0 | 1<<1 | 1<<2 | 1<<3,
	Fragment: 1<<0 | 1<<2 | 1<<3,
	DestOpts: 1<<0 | 1<<1,
	TCP:      1 << 12,
	UDP:      1<<2 | 1<<3,
	ICMPv4:   1 << 0,
	ICMPv6:   1 << 0,
	GRE:      1<<0 | 1<<1 | 1<<2 | 1<<3,
	Geneve:   1<<0 | 1<<2 | 1<<3,
	MPLS:     1 << 2,
	GTPU:     ^uint64(0),
	Payload:  1 << 0, // behind MPLS, GTPU and ICMP errors the first byte tells whether it is one
}

// Survives reports whether the layout is still right after n bytes at offset at
// were overwritten. It errs on the side of false.
func (l *Layout) Survives(at, n int) bool {
	for i := l.N - 1; i >= 0; i-- {
		h := &l.Headers[i]
		if at+n <= h.Off {
			continue
		}
		mask := structural[h.Layer]
		if from := max(at-h.Off, 0); from < 64 {
			mask = mask >> from << from
		} else if mask != ^uint64(0) {
			mask = 0
		}
		if to := at + n - h.Off; to < 64 {
			mask &= 1<<to - 1
		}
		if mask != 0 {
			return false
		}
		if at >= h.Off {
			return true
		}
	}
	return true
}

// Fragile maps the first 128 bytes of the packet: a bit is set for each byte, from
// bit 0 of the first word on, that the layout does not survive a change of. It may
// name more of them than Survives does.
func (l *Layout) Fragile() (bytes [2]uint64) {
	for i := range l.Headers[:l.N] {
		h := &l.Headers[i]
		mask := structural[h.Layer]
		if h.Len < 64 {
			mask &= 1<<h.Len - 1
		}
		switch at := h.Off; {
		case at < 64:
			bytes[0] |= mask << at
			bytes[1] |= mask >> (64 - at)
		case at < 128:
			bytes[1] |= mask << (at - 64)
		}
		if mask == ^uint64(0) && h.Off < 64 {
			bytes[1] = ^uint64(0) // the whole header, of which a word shows the start
		}
	}
	return bytes
}
