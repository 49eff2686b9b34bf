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

// setField stores another value than the field has, and keeps the fix-up from
// undoing what that breaks.
func (m *Mutator) setField(s *corpus.Step, h packet.Header, f *packet.Field, v uint64) bool {
	header := s.Packet[h.Off:h.End()]
	if old, _ := f.Get(header); old == v&f.Max() {
		return false
	}
	m.keep |= broken[f.Kind]
	f.Set(header, v)
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

// fieldDictionary stores a dictionary entry in a field of its width that selects
// something: the program compares ports with ports and addresses with addresses.
// Once in eight times any field is taken.
func fieldDictionary(m *Mutator, s *corpus.Step) bool {
	h, f := m.pickField(s)
	if f == nil {
		return false
	}
	r := m.rand.next()
	if keys := fieldIndexes[h.Layer].keys; len(keys) > 0 && r&7 != 0 {
		if f = keys[int(r>>32*uint64(len(keys))>>32)]; f.Bit+f.Bits > h.Len*8 {
			return false
		}
	}
	if h.Layer == packet.IPv6 && f.Kind == packet.Address && len(m.dict.addresses) > 0 {
		return setAddress(s.Packet[h.Off:h.End()], f, m.dict.addresses[m.rand.below(len(m.dict.addresses))])
	}
	words := m.dict.words[(f.Bits+7)>>3]
	if len(words) == 0 {
		return false
	}
	return m.setField(s, h, f, words[m.rand.below(len(words))])
}

// fieldIndex lists fields of a layer by use.
type fieldIndex struct{ keys, lengths []*packet.Field }

// fieldIndexes is read only.
var fieldIndexes = makeFieldIndexes()

func makeFieldIndexes() (all [packet.Payload + 1]fieldIndex) {
	for layer := range all {
		fields := packet.Fields(packet.Layer(layer))
		for i := range fields {
			switch fields[i].Kind {
			case packet.Next, packet.Address, packet.Port:
				all[layer].keys = append(all[layer].keys, &fields[i])
			case packet.Length:
				all[layer].lengths = append(all[layer].lengths, &fields[i])
			}
		}
	}
	return all
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
		all := fieldIndexes[h.Layer].lengths
		if len(all) == 0 {
			continue
		}
		f := all[m.rand.below(len(all))]
		if f.Bit+f.Bits > h.Len*8 {
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
