package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// newLengths objects to packets that leave the program alive with a length in a
// header that points beyond the packet where the input's did not. It parses only
// where output bytes differ from the input's.
func newLengths(shape *corpus.Shape) Oracle {
	s := newSurvival(shape)
	return s.oracle("lengths-broken", func(c *comparison, before, after []byte) error {
		h, w, blame := c.overlong(before, after)
		if blame == "" {
			return nil
		}
		if w.Claims < w.Least {
			return fmt.Errorf("%s.%s at offset %d says %d bytes in the output, fewer than the %d of the header, and %s", h.Layer, w.Field, h.Off, w.Claims, w.Least, blame)
		}
		return fmt.Errorf("%s.%s at offset %d says %d bytes in the output, where there are %d, and %s", h.Layer, w.Field, h.Off, w.Claims, max(w.Most, 0), blame)
	})
}

// overlong returns the first header of after with a wrong length by the program's
// fault, and why that is; "" when there is none.
func (c *comparison) overlong(before, after []byte) (h packet.Header, w packet.WrongLength, blame string) {
	c.state = lengthState
	c.is.Parse(after, packet.Ethernet)
	for i := range c.is.N {
		w, wrong := c.is.WrongLength(after, i)
		if !wrong || quoted(&c.is, i) {
			continue
		}
		if blame := c.blame(before, after, i); blame != "" {
			return c.is.Headers[i], w, blame
		}
	}
	return packet.Header{}, packet.WrongLength{}, ""
}

// lengthState is the state of a header's lengths. One that the packet's end cuts off
// says nothing.
func lengthState(l *packet.Layout, b []byte, i int) state {
	if _, bad := l.WrongLength(b, i); bad {
		return wrong
	}
	if l.Headers[i].Len < l.Headers[i].Layer.MinLen() {
		return unknown
	}
	return right
}
