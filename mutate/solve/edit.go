package solve

import (
	"bytes"
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// part is a buffer of an input.
type part uint8

const (
	packetPart part = iota
	metaPart
	contextPart
	chancePart
	mapPart // the value of a map entry
	parts
)

// place is a run of bytes in an input.
type place struct {
	part part
	// index is that of the step, or of the map entry.
	index    int
	at, size int
}

// buffer returns the whole buffer that the place is in, nil where in has none.
func (p place) buffer(in *corpus.Input) []byte {
	if p.part == mapPart {
		if p.index < len(in.Maps) {
			return in.Maps[p.index].Value
		}
		return nil
	}
	if p.index >= len(in.Steps) {
		return nil
	}
	s := &in.Steps[p.index]
	switch p.part {
	case packetPart:
		return s.Packet
	case metaPart:
		return s.Meta
	case contextPart:
		return s.Context
	}
	return s.Chance
}

// bytes returns the place's bytes, nil where in has not all of them.
func (p place) bytes(in *corpus.Input) []byte {
	b := p.buffer(in)
	if p.at < 0 || p.at+p.size > len(b) {
		return nil
	}
	return b[p.at : p.at+p.size]
}

// load reads an integer in the machine's byte order.
func load(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func store(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	default:
		binary.NativeEndian.PutUint64(b, v)
	}
}

// edit is a change of an input: data in a place, or where grow is set another length
// of the packet of step place.index.
type edit struct {
	place place
	data  []byte
	grow  bool
	size  int
}

func integer(p place, v uint64) edit {
	e := edit{place: p, data: make([]byte, p.size)}
	store(e.data, v)
	return e
}

// apply returns in with edits, within the bounds of the shape; nil where one of
// them does not fit or is not legal.
func apply(shape *corpus.Shape, in *corpus.Input, edits ...edit) *corpus.Input {
	out := in.Clone()
	for _, e := range edits {
		if e.grow {
			if e.size < 0 || e.size > shape.Packet.Max {
				return nil
			}
			resize(&out.Steps[e.place.index].Packet, e.size)
			continue
		}
		if e.place.part == contextPart {
			resize(&out.Steps[e.place.index].Context, shape.ContextSize)
		}
		copy(e.place.bytes(out), e.data)
	}
	if shape.CheckEntries(out) != nil {
		return nil
	}
	mutate.Conform(shape, out)
	if !holds(out, edits) {
		return nil
	}
	return out
}

// holds reports whether in has what the edits put there.
func holds(in *corpus.Input, edits []edit) bool {
	for i, e := range edits {
		if e.grow && len(in.Steps[e.place.index].Packet) != e.size {
			return false
		}
		if !e.grow && !overlapped(e.place, edits[i+1:]) && !bytes.Equal(e.place.bytes(in), e.data) {
			return false
		}
	}
	return true
}

// overlapped reports whether a later edit may write into p.
func overlapped(p place, later []edit) bool {
	for _, e := range later {
		q := e.place
		if !e.grow && q.part == p.part && q.index == p.index && q.at < p.at+p.size && p.at < q.at+q.size {
			return true
		}
	}
	return false
}

// resize cuts a buffer or pads it with zeros.
func resize(b *[]byte, n int) {
	if n <= len(*b) {
		*b = (*b)[:n]
		return
	}
	*b = append(*b, make([]byte, n-len(*b))...)
}

// repaired returns in with right lengths and checksums where that differs from in and
// leaves the edits as they are; nil otherwise.
func repaired(shape *corpus.Shape, in *corpus.Input, edits []edit) *corpus.Input {
	out := in.Clone()
	mutate.Repair(shape, out)
	if out.Equal(in) || !holds(out, edits) {
		return nil
	}
	return out
}
