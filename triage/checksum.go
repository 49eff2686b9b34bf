package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// newChecksum objects to packets that leave the program alive with an invalid
// checksum where the input had a valid one. It parses only where output bytes
// differ from the input's.
func newChecksum(shape *corpus.Shape) Oracle {
	s := newSurvival(shape)
	o := s.oracle("checksum-broken", func(before, after []byte) error {
		var c comparison
		h, blame := c.broken(before, after)
		if blame == "" {
			return nil
		}
		return fmt.Errorf("the %s checksum at offset %d %s and is invalid in the output", h.Layer, h.Off, blame)
	})
	o.sums = true
	return o
}

// broken returns the first header of after whose checksum is invalid by the
// program's fault, and why that is; "" when there is none.
func (c *comparison) broken(before, after []byte) (h packet.Header, blame string) {
	c.state = sumState
	c.is.Parse(after, packet.Ethernet)
	for i := range c.is.N {
		if !judged(&c.is, i) || c.is.Checksum(after, i) != packet.SumInvalid {
			continue
		}
		if blame := c.blame(before, after, i); blame != "" {
			return c.is.Headers[i], blame
		}
	}
	return packet.Header{}, ""
}

// sumState is the state of a header's checksum.
func sumState(l *packet.Layout, b []byte, i int) state {
	switch l.Checksum(b, i) {
	case packet.SumInvalid:
		return wrong
	case packet.SumValid:
		return right
	}
	return unknown
}

// judged reports whether the checksum of header i is one that somebody verifies:
// what an ICMP error quotes is cut off or rewritten as its sender likes.
func judged(l *packet.Layout, i int) bool {
	switch l.Headers[i].Layer {
	case packet.IPv4, packet.TCP, packet.UDP, packet.ICMPv4, packet.ICMPv6:
	default:
		return false
	}
	return !quoted(l, i)
}

// quoted reports whether an ICMP error quotes header i.
func quoted(l *packet.Layout, i int) bool {
	for _, h := range l.Headers[:i] {
		if h.Layer == packet.ICMPv4 || h.Layer == packet.ICMPv6 {
			return true
		}
	}
	return false
}
