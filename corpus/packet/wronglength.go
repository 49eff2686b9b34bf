package packet

// WrongLength is a length field that contradicts the bytes around it.
type WrongLength struct {
	// Field is the field's name, as FieldByName has it.
	Field string
	// Claims is what the field says, in bytes; Least and Most are the smallest and the
	// largest length that it could have. Most is below Least where not even the
	// smallest fits.
	Claims, Least, Most int
}

// WrongLength returns the first length field of header i of b that says that the
// header or its datagram reaches beyond the packet, or beyond the datagram that
// carries it, or is shorter than the header itself. Wrong is false where there is
// none, where the header is cut off below its minimum, and for TCP and UDP in
// fragments. L has to be the layout of b.
func (l *Layout) WrongLength(b []byte, i int) (w WrongLength, wrong bool) {
	if i < 0 || i >= l.N {
		return w, false
	}
	h := l.Headers[i]
	p := l.Bytes(b, i)
	if len(p) < h.Layer.MinLen() {
		return w, false
	}
	room, whole := l.room(b, i)
	switch h.Layer {
	case IPv4:
		size := int(p[0]&15) * 4
		if w := (WrongLength{"ihl", size, 20, room}); w.wrong() {
			return w, true
		}
		w = WrongLength{"tot_len", int(be.Uint16(p[2:])), size, room}
	case IPv6:
		w = WrongLength{"payload_len", int(be.Uint16(p[4:])), 0, room - 40}
	case TCP:
		w = WrongLength{"doff", int(p[12]>>4) * 4, 20, room}
	case UDP:
		w = WrongLength{"len", int(be.Uint16(p[4:])), 8, room}
	default:
		return w, false
	}
	return w, w.wrong() && (whole || h.Layer.IsIP())
}

func (w WrongLength) wrong() bool { return w.Claims < w.Least || w.Claims > w.Most }

// room returns how many bytes there are for header i and what it carries, by the
// lengths of what carries it. Whole is false where that is a fragment.
func (l *Layout) room(b []byte, i int) (n int, whole bool) {
	end, whole := len(b), true
	for k, h := range l.Headers[:i] {
		p := l.Bytes(b, k)
		if len(p) < h.Layer.MinLen() {
			continue
		}
		size := 0
		switch h.Layer {
		case IPv4:
			size = int(be.Uint16(p[2:]))
			whole = be.Uint16(p[6:])&0x3fff == 0
		case IPv6:
			if size = int(be.Uint16(p[4:])); size > 0 { // else it is a jumbogram's
				size += 40
			}
			whole = true
		case Fragment:
			whole = whole && be.Uint16(p[2:])&0xfff9 == 0
		case UDP:
			size = int(be.Uint16(p[4:]))
		}
		if size > 0 {
			end = min(end, h.Off+size)
		}
	}
	return end - l.Headers[i].Off, whole
}
