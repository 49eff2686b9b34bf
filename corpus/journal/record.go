package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const (
	magic = "bpfzjrnl"
	// version is that of everything in a journal.
	version    = 1
	headerSize = 64
	bootSize   = 40
)

// header is how each file of a journal begins.
type header struct {
	run  uint64
	boot string // at most bootSize bytes
}

func (h *header) append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, h.run)
	var boot [bootSize]byte
	copy(boot[:], h.boot)
	return append(b, boot[:]...)
}

func readHeader(b []byte) (h header, rest []byte, err error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return h, nil, errors.New("it is no journal: it does not begin like one")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return h, nil, fmt.Errorf("it is a journal of version %d, this program reads version %d", v, version)
	}
	h.run = binary.LittleEndian.Uint64(b[16:])
	h.boot = string(bytes.TrimRight(b[24:headerSize], "\x00"))
	return h, b[headerSize:], nil
}

// A record is an input: its own size in bytes, the numbers of its steps and map entries
// (16 bits each), then the entries, then the steps. An entry is the lengths of name,
// key and value and these; a step the lengths of packet, context, metadata and chance,
// the processor, flags and fault if there are any, which bit 31 of the first length
// says, and the four strings. What is not said to have 16 bits has 32.
const (
	recordHeader = 8
	entryHeader  = 12
	stepHeader   = 16
	stepExtra    = 12
	extraBit     = 1 << 31
	// maxCount bounds steps and map entries of a record.
	maxCount = 1<<16 - 1
)

// recordSize returns how many bytes put writes, if there is room for them.
func recordSize(in *corpus.Input) int {
	n := recordHeader
	for i := range in.Maps {
		e := &in.Maps[i]
		n += entryHeader + len(e.Map) + len(e.Key) + len(e.Value)
	}
	for i := range in.Steps {
		s := &in.Steps[i]
		n += stepHeader + extraSize(s) + len(s.Packet) + len(s.Meta) + len(s.Context) + len(s.Chance)
	}
	return n
}

// extraSize is that of processor, flags and fault where there are any.
func extraSize(s *corpus.Step) int {
	if uint32(s.CPU)|s.Flags|s.Fault != 0 {
		return stepExtra
	}
	return 0
}

// put writes the record of an input into b and returns its size, 0 where b has no room
// for it. It does not allocate.
func put(b []byte, in *corpus.Input) int {
	if len(b) < recordHeader || len(in.Steps) > maxCount || len(in.Maps) > maxCount {
		return 0
	}
	at := recordHeader
	for i := range in.Maps {
		n := putEntry(b[at:], &in.Maps[i])
		if n == 0 {
			return 0
		}
		at += n
	}
	for i := range in.Steps {
		n := putStep(b[at:], &in.Steps[i])
		if n == 0 {
			return 0
		}
		at += n
	}
	binary.LittleEndian.PutUint64(b, uint64(at)|uint64(len(in.Steps))<<32|uint64(len(in.Maps))<<48)
	return at
}

func putEntry(b []byte, e *corpus.MapEntry) int {
	n := entryHeader + len(e.Map) + len(e.Key) + len(e.Value)
	if n > len(b) {
		return 0
	}
	le := binary.LittleEndian
	le.PutUint32(b, uint32(len(e.Map)))
	le.PutUint32(b[4:], uint32(len(e.Key)))
	le.PutUint32(b[8:], uint32(len(e.Value)))
	b = b[entryHeader:]
	b = b[copy(b, e.Map):]
	b = b[copy(b, e.Key):]
	copy(b, e.Value)
	return n
}

func putStep(b []byte, s *corpus.Step) int {
	rest := len(s.Context) + len(s.Meta) + len(s.Chance)
	n := stepHeader + len(s.Packet) + rest
	if n+stepExtra > len(b) && n+extraSize(s) > len(b) {
		return 0
	}
	le := binary.LittleEndian
	le.PutUint64(b, uint64(len(s.Packet))|uint64(len(s.Context))<<32)
	le.PutUint64(b[8:], uint64(len(s.Meta))|uint64(len(s.Chance))<<32)
	at := stepHeader
	if extraSize(s) > 0 {
		le.PutUint32(b, uint32(len(s.Packet))|extraBit)
		le.PutUint32(b[at:], uint32(s.CPU))
		le.PutUint32(b[at+4:], s.Flags)
		le.PutUint32(b[at+8:], s.Fault)
		at, n = at+stepExtra, n+stepExtra
	}
	at += copy(b[at:], s.Packet)
	if rest > 0 {
		at += copy(b[at:], s.Context)
		at += copy(b[at:], s.Meta)
		copy(b[at:], s.Chance)
	}
	return n
}

// take reads a record and returns what is behind it. The input shares no memory with b.
func take(b []byte) (in *corpus.Input, rest []byte, err error) {
	c := cursor{b}
	size := int64(c.uint32())
	if size < recordHeader || size > int64(len(b)) {
		return nil, nil, fmt.Errorf("a record of %d bytes where %d are left", size, len(b))
	}
	rest = b[size:]
	c.b = b[4:size]
	steps, entries := int(c.uint16()), int(c.uint16())
	in = &corpus.Input{}
	for i := 0; i < entries && c.b != nil; i++ {
		name, key, value := c.uint32(), c.uint32(), c.uint32()
		in.Maps = append(in.Maps, corpus.MapEntry{Map: string(c.bytes(name)), Key: c.bytes(key), Value: c.bytes(value)})
	}
	for i := 0; i < steps && c.b != nil; i++ {
		in.Steps = append(in.Steps, c.step())
	}
	switch {
	case c.b == nil:
		return nil, nil, errors.New("a part of a record reaches beyond its end")
	case len(c.b) > 0:
		return nil, nil, fmt.Errorf("%d bytes behind the last step of a record", len(c.b))
	case steps == 0:
		return nil, nil, errors.New("an input without steps")
	}
	return in, rest, nil
}

// cursor reads the parts of a record. Beyond the end it reads zeros, and b is nil from
// then on.
type cursor struct{ b []byte }

func (c *cursor) next(n int) []byte {
	if n > len(c.b) || c.b == nil {
		c.b = nil
		return nil
	}
	part := c.b[:n]
	c.b = c.b[n:]
	return part
}

func (c *cursor) uint16() uint16 {
	if part := c.next(2); part != nil {
		return binary.LittleEndian.Uint16(part)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if part := c.next(4); part != nil {
		return binary.LittleEndian.Uint32(part)
	}
	return 0
}

func (c *cursor) bytes(n uint32) []byte {
	part := c.next(int(min(uint64(n), uint64(len(c.b))+1)))
	if len(part) == 0 {
		return nil
	}
	return bytes.Clone(part)
}

func (c *cursor) step() (s corpus.Step) {
	packet, context, meta, chance := c.uint32(), c.uint32(), c.uint32(), c.uint32()
	if packet&extraBit != 0 {
		packet &^= extraBit
		s.CPU, s.Flags, s.Fault = int32(c.uint32()), c.uint32(), c.uint32()
	}
	s.Packet, s.Context, s.Meta, s.Chance = c.bytes(packet), c.bytes(context), c.bytes(meta), c.bytes(chance)
	return s
}
