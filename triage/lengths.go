package triage

import (
	"encoding/binary"
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
	if fitting(after) {
		return packet.Header{}, packet.WrongLength{}, ""
	}
	c.state = lengthState
	c.is.Parse(after, packet.Ethernet)
	for i := range c.is.N {
		w, wrong := c.is.WrongLength(after, i)
		if !wrong || quoted(&c.is, i) {
			continue
		}
		// Lengths depend on one another, so all of the input's have to have been right.
		if blame := c.blame(before, after, i); blame != "" && c.allValid() {
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

// fitting reports whether no length in b is wrong, where that can be told without a search
// for headers: those of IP in Ethernet, of IP in IP, and of what they carry.
func fitting(b []byte) bool {
	if len(b) < atIP {
		return true
	}
	proto := byte(4)
	switch binary.BigEndian.Uint16(b[atEthertype:]) {
	case 0x0800:
	case 0x86dd:
		proto = 41
	default:
		return false
	}
	for b = b[atIP:]; ; {
		size := 0 // of the header
		switch {
		case proto == 4 && len(b) >= 20:
			size = int(b[0]&15) * 4
			n := int(binary.BigEndian.Uint16(b[2:]))
			if size < 20 || n < size || n > len(b) || b[6]&0x3f != 0 || b[7] != 0 {
				return false
			}
			b, proto = b[:n], b[9]
		case proto == 41 && len(b) >= 40:
			size = 40
			n := size + int(binary.BigEndian.Uint16(b[4:]))
			if n == size || n > len(b) {
				return false
			}
			b, proto = b[:n], b[6]
		case proto == 6 && len(b) >= 20:
			size = int(b[12]>>4) * 4
			return size >= 20 && size <= len(b)
		case proto == 17 && len(b) >= 8:
			n := int(binary.BigEndian.Uint16(b[4:]))
			return n >= 8 && n <= len(b) && !packet.TunnelPort(binary.BigEndian.Uint16(b[2:]))
		default:
			return proto == 1 || proto == 58 // which have none that is judged
		}
		b = b[size:]
	}
}
