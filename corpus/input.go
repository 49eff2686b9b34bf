// Package corpus holds inputs worth keeping: what an input is, what running it
// gave, how it is written to disk, and which one to try next.
package corpus

import (
	"bytes"
	"slices"
)

// MapEntry is one initial entry of a map: Value is stored under Key before the
// first step runs. Sizes are the map's; an entry with other sizes is refused
// by the executor.
type MapEntry struct {
	Map        string
	Key, Value []byte
}

// Flags of Step.Flags, as BPF_PROG_RUN has them.
const (
	// OnCPU says that Step.CPU is meant: a step without it runs where the worker is.
	OnCPU = 1
	// ChecksumComplete has the kernel check after the run that the program updated
	// skb->csum along with the packet. It answers EBADMSG when not.
	ChecksumComplete = 4
)

// Flags of Step.Flags that are ours: BPF_PROG_RUN has no such bits. They have an input
// that runs alone find chosen bytes in memory that the program has not written, where
// Shape.Poison says that this can be done: whoever compares two such runs knows that
// nothing else was different.
const (
	// Poisoned fills stack and headroom with zeros.
	Poisoned = 1 << 29
	// OtherStack fills the stack with ones instead, nearly all of its bits, and
	// OtherHeadroom the room in front of an XDP packet. They go with Poisoned.
	OtherStack    = 1 << 30
	OtherHeadroom = 1 << 31

	// InPieces hands the packet over with its first FirstPiece bytes in one piece and the
	// others in fragments, where Shape.Pieces says that this can be done.
	InPieces = 1 << 28

	// OurFlags are all that are ours.
	OurFlags = Poisoned | OtherStack | OtherHeadroom | InPieces
)

// FirstPiece is how many bytes of a packet in pieces a program sees without being asked to:
// as many as drivers copy for headers.
const FirstPiece = 256

// Step is one run of the program. Its zero value is an empty packet with an
// all-zero context on any CPU.
type Step struct {
	// Packet is data_in without metadata, from the first byte that data_in has to
	// have (for every skb type and XDP the Ethernet header).
	Packet []byte
	// Meta is XDP metadata in front of the packet; a multiple of 4 bytes.
	Meta []byte
	// Context is the context structure as the kernel lays it out, or empty for the
	// default one. The executor fills in what follows from Packet and Meta.
	Context []byte
	// Chance is consumed, in order, by virtualised helpers such as
	// bpf_get_prandom_u32.
	Chance []byte
	// CPU is the processor to run on where the type allows a choice; 0 otherwise.
	CPU int32
	// Flags are flags of BPF_PROG_RUN, and some of ours.
	Flags uint32
	// Fault n > 0 makes the n-th fallible helper call of the step fail.
	Fault uint32
}

// Input is what one execution is made of: initial map contents, then one or more
// steps. An Input in a corpus is immutable; one that a Batch hands out is
// written by a mutator.
//
// In a batch the buffers of a step lie in the executor's memory. Their capacity
// is all the room there is: code that fills one in place reslices and copies
// within the capacity and never swaps the buffers of two steps.
type Input struct {
	Maps  []MapEntry
	Steps []Step
}

// Clone returns a deep copy that shares no memory with in.
func (in *Input) Clone() *Input {
	out := &Input{Steps: make([]Step, len(in.Steps))}
	for _, e := range in.Maps {
		out.Maps = append(out.Maps, MapEntry{Map: e.Map, Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
	}
	for i := range in.Steps {
		s := in.Steps[i]
		s.Packet = bytes.Clone(s.Packet)
		s.Meta = bytes.Clone(s.Meta)
		s.Context = bytes.Clone(s.Context)
		s.Chance = bytes.Clone(s.Chance)
		out.Steps[i] = s
	}
	return out
}

// Grow adds a step with empty buffers and zero fields within the capacity of
// in.Steps and returns it, or nil when there is no room for another.
func (in *Input) Grow() *Step {
	n := len(in.Steps)
	if n == cap(in.Steps) {
		return nil
	}
	in.Steps = in.Steps[:n+1]
	s := &in.Steps[n]
	*s = Step{Packet: s.Packet[:0], Meta: s.Meta[:0], Context: s.Context[:0], Chance: s.Chance[:0]}
	return s
}

// CopyFrom makes in an equal of src without allocating, as far as the capacity
// of in's buffers reaches: bytes and steps beyond it are cut off. Maps are
// shared, not copied.
func (in *Input) CopyFrom(src *Input) {
	in.Maps = src.Maps
	in.Steps = in.Steps[:min(len(src.Steps), cap(in.Steps))]
	for i := range in.Steps {
		in.Steps[i].CopyFrom(&src.Steps[i])
	}
}

// CopyFrom makes s an equal of src without allocating; what does not fit in the
// capacity of s's buffers is cut off.
func (s *Step) CopyFrom(src *Step) {
	s.Packet = fill(s.Packet, src.Packet)
	s.Meta = fill(s.Meta, src.Meta)
	s.Context = fill(s.Context, src.Context)
	s.Chance = fill(s.Chance, src.Chance)
	s.CPU, s.Flags, s.Fault = src.CPU, src.Flags, src.Fault
}

func fill(dst, src []byte) []byte {
	dst = dst[:min(len(src), cap(dst))]
	copy(dst, src)
	return dst
}

// Equal reports whether two inputs have the same encoding.
func (in *Input) Equal(other *Input) bool {
	return slices.EqualFunc(in.Maps, other.Maps, func(a, b MapEntry) bool {
		return a.Map == b.Map && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
	}) && slices.EqualFunc(in.Steps, other.Steps, func(a, b Step) bool {
		return bytes.Equal(a.Packet, b.Packet) && bytes.Equal(a.Meta, b.Meta) &&
			bytes.Equal(a.Context, b.Context) && bytes.Equal(a.Chance, b.Chance) &&
			a.CPU == b.CPU && a.Flags == b.Flags && a.Fault == b.Fault
	})
}

// Len returns the number of payload bytes of all steps, the measure of "smaller".
func (in *Input) Len() int {
	n := 0
	for i := range in.Steps {
		s := &in.Steps[i]
		n += len(s.Packet) + len(s.Meta) + len(s.Context) + len(s.Chance)
	}
	return n
}
