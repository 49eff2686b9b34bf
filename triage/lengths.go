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
	return s.oracle("lengths-broken", func(before, after []byte) error {
		if fit(after) == right || fit(before) == wrong {
			return nil // most packets, and most of the others
		}
		var c comparison
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

// fit says whether lengths in b are right, where that can be told without a search for
// headers: those of IP in Ethernet, of IP in IP, and of what they carry.
func fit(b []byte) state {
	if len(b) < atIP {
		return right
	}
	proto := byte(4)
	switch binary.BigEndian.Uint16(b[atEthertype:]) {
	case 0x0800:
	case 0x86dd:
		proto = 41
	default:
		return unknown
	}
	for b = b[atIP:]; ; {
		size, n := 0, 0 // of the header and of all
		switch {
		case proto == 4 && len(b) >= 20:
			size, n = int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
			if size < 20 || n < size || n > len(b) {
				return wrong
			}
			if b[6]&0x3f != 0 || b[7] != 0 { // a fragment
				return unknown
			}
			proto = b[9]
		case proto == 41 && len(b) >= 40:
			size, n = 40, 40+int(binary.BigEndian.Uint16(b[4:]))
			if n > len(b) {
				return wrong
			}
			if n == size { // a jumbogram, or empty
				return unknown
			}
			proto = b[6]
		default:
			return fitTransport(b, proto)
		}
		b = b[size:n]
	}
}

// fitTransport is fit for what IP carries.
func fitTransport(b []byte, proto byte) state {
	least, n := 0, 0
	switch {
	case proto == 6 && len(b) >= 20:
		least, n = 20, int(b[12]>>4)*4
	case proto == 17 && len(b) >= 8:
		if packet.TunnelPort(binary.BigEndian.Uint16(b[2:])) {
			return unknown
		}
		least, n = 8, int(binary.BigEndian.Uint16(b[4:]))
	case proto == 1, proto == 58: // which have no length
	default:
		return unknown
	}
	if n < least || n > len(b) {
		return wrong
	}
	return right
}
