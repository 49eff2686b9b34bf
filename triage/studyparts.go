package triage

import (
	"encoding/binary"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// parts lists the parts of an input: entries of maps first, then step by step.
// Shape may be nil.
func parts(shape *corpus.Shape, in *corpus.Input) (list []Part) {
	for i := range in.Maps {
		var m corpus.MapShape
		for k := 0; shape != nil && k < len(shape.Maps); k++ {
			if shape.Maps[k].Name == in.Maps[i].Map {
				m = shape.Maps[k]
			}
		}
		list = fieldParts(list, InKey, i, m.Key, in.Maps[i].Key)
		list = fieldParts(list, InValue, i, m.Value, in.Maps[i].Value)
	}
	for i := range in.Steps {
		s := &in.Steps[i]
		if shape != nil {
			list = contextParts(list, i, shape.Context, s.Context)
		}
		list = fieldParts(list, InMeta, i, nil, s.Meta)
		if shape != nil && shape.Payload {
			list = fieldParts(list, InPacket, i, nil, s.Packet)
		} else {
			list = packetParts(list, i, s.Packet)
		}
		list = fieldParts(list, InChance, i, nil, s.Chance)
	}
	return list
}

// contextParts adds the fields of a context. Its other bytes may not be set.
func contextParts(list []Part, index int, fields []corpus.Field, b []byte) []Part {
	for i := range fields {
		if f := &fields[i]; f.Size > 0 && f.Offset+f.Size <= len(b) {
			list = append(list, fieldPart(InContext, index, f, b))
		}
	}
	return list
}

// fieldParts adds fields, and the bytes that are in none.
func fieldParts(list []Part, place Place, index int, fields []corpus.Field, b []byte) []Part {
	next := 0
	bytes := func(to int) {
		for ; next < to; next++ {
			list = append(list, bytePart(place, index, next, b))
		}
	}
	for i := range fields {
		f := &fields[i]
		if f.Offset < next || f.Size <= 0 || f.Offset+f.Size > len(b) {
			continue // another member of a union
		}
		bytes(f.Offset)
		list = append(list, fieldPart(place, index, f, b))
		next = f.Offset + f.Size
	}
	bytes(len(b))
	return list
}

func fieldPart(place Place, index int, f *corpus.Field, b []byte) Part {
	v, _ := fieldValue(f, b)
	return Part{Place: place, Index: index, Name: f.Name, Bit: f.Offset * 8, Bits: f.Size * 8, Big: f.Big, Value: v}
}

func bytePart(place Place, index, at int, b []byte) Part {
	return Part{Place: place, Index: index, Name: fmt.Sprintf("byte %d", at), Bit: at * 8, Bits: 8, Big: true, Value: uint64(b[at])}
}

// packetParts adds the fields of the headers of a frame, and the bytes that are in none.
// Views of a field are left out.
func packetParts(list []Part, index int, b []byte) []Part {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	for i := range l.N {
		h := l.Headers[i]
		name := h.Layer.String()
		if n := layersBefore(&l, i); n > 0 {
			name = fmt.Sprintf("%s[%d]", name, n)
		}
		next := h.Off * 8 // the first bit that is in no part yet
		for _, f := range packet.Fields(h.Layer) {
			value, ok := f.Get(b[h.Off:h.End()])
			if !ok || h.Off*8+f.Bit < next {
				continue
			}
			list, next = bytesUntil(list, index, b, next, h.Off*8+f.Bit)
			list = append(list, Part{
				Place: InPacket, Index: index, Name: name + "." + f.Name, Bit: next, Bits: f.Bits, Big: true, Value: value,
			})
			next += f.Bits
		}
		list, _ = bytesUntil(list, index, b, next, h.End()*8)
	}
	return list
}

// layersBefore counts the headers of the same kind outside of one.
func layersBefore(l *packet.Layout, i int) (n int) {
	for k := range i {
		if l.Headers[k].Layer == l.Headers[i].Layer {
			n++
		}
	}
	return n
}

// bytesUntil adds the whole bytes between two bits, and returns the second.
func bytesUntil(list []Part, index int, b []byte, from, to int) ([]Part, int) {
	for at := (from + 7) / 8; at < to/8; at++ {
		list = append(list, bytePart(InPacket, index, at, b))
	}
	return list, to
}

// set gives the part another value.
func (p *Part) set(in *corpus.Input, v uint64) {
	b := p.bytesOf(in)
	if !p.Big {
		from, to := p.Bytes()
		setNative(b[from:to], v)
		return
	}
	f := packet.Field{Bit: p.Bit % 8, Bits: p.Bits}
	f.Set(b[p.Bit/8:], v)
}

// setNative stores a number in the machine's order.
func setNative(b []byte, v uint64) {
	var wide [8]byte
	binary.NativeEndian.PutUint64(wide[:], v)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		copy(b, wide[8-len(b):])
		return
	}
	copy(b, wide[:len(b)])
}
