package triage

import (
	"bytes"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// state is what there is to say of one thing about a header.
type state uint8

const (
	unknown state = iota // the header has no such thing, or it cannot be told
	right
	wrong
)

// comparison is a packet before and after a step, of which something is right or
// wrong in each header.
type comparison struct {
	before, after []byte
	was, is       packet.Layout
	// grown is how much longer the packet has become.
	grown int
	// state tells of header i of b, whose layout l is.
	state func(l *packet.Layout, b []byte, i int) state
}

// blame says why it is the program's fault that header i of the output is wrong;
// "" when that is not certain. The output's layout is there already. The header is
// looked for at the same distance from the packet's end (headers were put in front or
// taken away) and at the same offset (the tail was cut or grown). Where both places
// have such a header, nobody can tell which one it was, so both have to have been
// right.
func (c *comparison) blame(before, after []byte, i int) string {
	if c.before == nil {
		c.before, c.after, c.grown = before, after, len(after)-len(before)
		c.was.Parse(before, packet.Ethernet)
	}
	h := c.is.Headers[i]
	fromEnd, fromStart := c.find(h.Layer, h.Off-c.grown), c.find(h.Layer, h.Off)
	switch {
	case fromEnd < 0 && c.added(i):
		if c.valid(fromStart) && c.allValid() {
			return "belongs to a header that the program added"
		}
	case fromEnd < 0 && fromStart < 0, fromEnd < 0 && c.unwritten(h, h.Off-c.grown):
		// The same bytes were no header in the input, by what stands in front of
		// them, or are one now since a tail of zeros completes it.
	case c.valid(fromEnd) && c.valid(fromStart):
		return "was valid in the input"
	}
	return ""
}

// find returns the index of the input's header of that layer and place, or -1.
func (c *comparison) find(layer packet.Layer, off int) int {
	for k, h := range c.was.Headers[:c.was.N] {
		if h.Layer == layer && h.Off == off {
			return k
		}
	}
	return -1
}

// valid reports whether nothing is wrong with header k of the input; there may be
// none.
func (c *comparison) valid(k int) bool {
	return k < 0 || c.state(&c.was, c.before, k) == right
}

// unwritten reports whether the bytes of h stand in the input too, with from in
// place of h.Off.
func (c *comparison) unwritten(h packet.Header, from int) bool {
	return from >= 0 && from+h.Len <= len(c.before) && bytes.Equal(c.before[from:from+h.Len], c.after[h.Off:h.End()])
}

// added reports whether the program wrote header i in front of a packet that it
// carries on behind it: a whole frame, or a network header with the same
// addresses, that was nearer to the start of the input. ICMP errors do so, too.
func (c *comparison) added(i int) bool {
	h := c.is.Headers[i]
	if c.unwritten(h, h.Off) || c.unwritten(h, h.Off-c.grown) {
		return false
	}
	for _, g := range c.is.Headers[i+1 : c.is.N] {
		for k, old := range c.was.Headers[:c.was.N] {
			if old.Layer == g.Layer && old.Off < g.Off && sameAddresses(c.was.Bytes(c.before, k), c.after[g.Off:g.End()], g.Layer) {
				return true
			}
		}
	}
	return false
}

// sameAddresses compares what identifies a frame or a network header.
func sameAddresses(a, b []byte, layer packet.Layer) bool {
	var from int
	switch layer {
	case packet.Ethernet:
	case packet.IPv4:
		from = 12
	case packet.IPv6:
		from = 8
	default:
		return false
	}
	to := layer.MinLen()
	return len(a) >= to && len(b) >= to && bytes.Equal(a[from:to], b[from:to])
}

// allValid reports whether nothing is wrong with any header of the input.
func (c *comparison) allValid() bool {
	for i := range c.was.N {
		if c.state(&c.was, c.before, i) == wrong {
			return false
		}
	}
	return true
}
