package pcap

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Carried returns what the outermost TCP segment or UDP datagram of a frame carries,
// as a part of frame, without the padding behind it. It returns nil where there is
// nothing: other protocols, segments without data, and what an ICMP error quotes.
func Carried(frame []byte) []byte {
	var l packet.Layout
	l.Parse(frame, packet.Ethernet)
	end := len(frame)
	for i := range l.Headers[:l.N] {
		h := &l.Headers[i]
		if h.Len < h.Layer.MinLen() {
			return nil
		}
		b := frame[h.Off:]
		switch h.Layer {
		case packet.IPv4:
			end = shorter(end, h, int(binary.BigEndian.Uint16(b[2:])))
		case packet.IPv6:
			if size := int(binary.BigEndian.Uint16(b[4:])); size > 0 { // 0 is a jumbogram
				end = shorter(end, h, h.Layer.MinLen()+size)
			}
		case packet.UDP:
			return frame[h.End():max(h.End(), shorter(end, h, int(binary.BigEndian.Uint16(b[4:]))))]
		case packet.TCP:
			return frame[h.End():max(h.End(), end)]
		case packet.ICMPv4, packet.ICMPv6:
			return nil
		}
	}
	return nil
}

// shorter returns where a datagram ends that starts at h and has size bytes, or end
// where that is nearer. A size that is no more than the header stands for one that is
// not known, as offloading leaves it.
func shorter(end int, h *packet.Header, size int) int {
	if size <= h.Layer.MinLen() && size != h.Len {
		return end
	}
	return min(end, h.Off+size)
}
