package mutate

import (
	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// pickField chooses a header of the packet and one of its fields; field is nil
// where the packet has none or the header is cut off before it.
func (m *Mutator) pickField(s *corpus.Step) (h packet.Header, field *packet.Field) {
	l := m.parse(s)
	n := l.N
	if n > 0 && l.Headers[n-1].Layer == packet.Payload {
		n--
	}
	if n == 0 {
		return h, nil
	}
	r := m.rand.next()
	h = l.Headers[int(r>>32*uint64(n)>>32)]
	fields := packet.Fields(h.Layer)
	if len(fields) == 0 {
		return h, nil
	}
	field = &fields[int(r&0xffffffff*uint64(len(fields))>>32)]
	if field.Bit+field.Bits > h.Len*8 {
		return h, nil
	}
	return h, field
}

// setField stores a value, and keeps the fix-up from undoing what that breaks.
func (m *Mutator) setField(s *corpus.Step, h packet.Header, f *packet.Field, v uint64) bool {
	m.keep |= broken[f.Kind]
	f.Set(s.Packet[h.Off:h.End()], v)
	m.changed(s, h.Off+f.Bit>>3, (f.Bit&7+f.Bits+7)>>3)
	return true
}

// broken says what a change of a field of that kind leaves to be repaired, which
// would undo it.
var broken = [...]repairs{packet.Length: lengths, packet.Check: sums, packet.Port: 0}

// fieldValue stores one of the field's boundary values.
func fieldValue(m *Mutator, s *corpus.Step) bool {
	h, f := m.pickField(s)
	if f == nil || len(f.Values) == 0 {
		return false
	}
	return m.setField(s, h, f, f.Values[m.rand.below(len(f.Values))])
}

// fieldStep adds or subtracts 1, or another power of two.
func fieldStep(m *Mutator, s *corpus.Step) bool {
	h, f := m.pickField(s)
	if f == nil {
		return false
	}
	v, _ := f.Get(s.Packet[h.Off:h.End()])
	r := m.rand.next()
	d := uint64(1)
	if r&6 == 0 {
		d <<= uint(r>>8&63) % uint(f.Bits)
	}
	if r&1 != 0 {
		d = -d
	}
	return m.setField(s, h, f, v+d)
}

// fieldRandom stores any value of the field's width.
func fieldRandom(m *Mutator, s *corpus.Step) bool {
	h, f := m.pickField(s)
	if f == nil {
		return false
	}
	return m.setField(s, h, f, m.rand.next())
}

// fieldDictionary stores a dictionary entry in a field of its width: the program
// compares ports with ports and addresses with addresses. Such fields are looked
// for first, any other is taken in the end.
func fieldDictionary(m *Mutator, s *corpus.Step) bool {
	const tries = 4
	for k := range tries {
		h, f := m.pickField(s)
		if f == nil || f.Kind < packet.Next && k < tries-1 {
			continue
		}
		if h.Layer == packet.IPv6 && f.Kind == packet.Address && len(m.dict.addresses) > 0 {
			return setAddress(s.Packet[h.Off:h.End()], f, m.dict.addresses[m.rand.below(len(m.dict.addresses))])
		}
		if words := m.dict.words[(f.Bits+7)>>3]; len(words) > 0 {
			return m.setField(s, h, f, words[m.rand.below(len(words))])
		}
	}
	return false
}

// setAddress stores a whole IPv6 address in the one that half is part of.
func setAddress(header []byte, half *packet.Field, address []byte) bool {
	at := 8
	if half.Bit >= 24*8 {
		at = 24
	}
	return copy(header[at:], address) > 0
}

// headerLength stores a wrong value in a length field: one near the right one,
// or a boundary. The fix-up then leaves lengths alone and repairs checksums only.
func headerLength(m *Mutator, s *corpus.Step) bool {
	l := m.parse(s)
	start := m.rand.below(l.N)
	for k := range l.N {
		h := &l.Headers[wrap(start+k, l.N)]
		f := m.lengthField(h.Layer)
		if f == nil || f.Bit+f.Bits > h.Len*8 {
			continue
		}
		v, _ := f.Get(s.Packet[h.Off:h.End()])
		switch r := m.rand.next(); r & 3 {
		case 0:
			v += r >> 8 & 15
		case 1:
			v -= r >> 8 & 15
		case 2:
			v = f.Values[m.rand.below(len(f.Values))]
		default:
			v = r >> 8
		}
		return m.setField(s, *h, f, v)
	}
	return false
}

// lengthField chooses one of the layer's length fields, or nil.
func (m *Mutator) lengthField(layer packet.Layer) *packet.Field {
	fields := packet.Fields(layer)
	var chosen *packet.Field
	for i, n := 0, 0; i < len(fields); i++ {
		if fields[i].Kind != packet.Length {
			continue
		}
		if n++; m.rand.below(n) == 0 {
			chosen = &fields[i]
		}
	}
	return chosen
}
