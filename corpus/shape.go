package corpus

import (
	"encoding/binary"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Shape describes the inputs that a target accepts and the outcomes it may give,
// to mutators, oracles and invariants alike, so that none of them needs to know
// BPF. It is immutable once made.
type Shape struct {
	// Program is the program's name, Type its kind as bpftool prints it ("xdp", "sched_cls").
	Program, Type string
	// Packet bounds the length of Step.Packet, in bytes. Max 0 means that the type
	// takes no packet.
	Packet Bounds
	// Payload says that a packet is bytes for an application, without headers. Where
	// it is not set, a packet begins with an Ethernet header.
	Payload bool
	// Hidden is how many bytes at the packet's start the program does not see. The
	// kernel gives zeros for them in data_out, executors the input's bytes, with the
	// ethertype of the IP version that is in the output.
	Hidden int
	// NoResult says that an outcome's packet is none: it is empty or, for a flow
	// dissector, struct bpf_flow_keys, which is the outcome's context as well.
	NoResult bool
	// MinIPv4 and MinIPv6 are the smallest lengths that the kernel accepts where the
	// ethertype says IPv4 or IPv6; 0 where it makes no difference.
	MinIPv4, MinIPv6 int
	// Meta bounds the length of Step.Meta, always a multiple of 4. Max 0 means none.
	Meta Bounds
	// Flags are the flags of BPF_PROG_RUN that the type takes.
	Flags uint32
	// Pieces says that packets may lie in several pieces.
	Pieces bool
	// Poison says what memory can be filled that the program has not written: OtherStack
	// where it has a stack, OtherHeadroom where it uncovers bytes in front of its packet;
	// 0 where nothing can be.
	Poison uint32
	// CPUs is how many processors a step may choose among with OnCPU; 0 means that
	// the type leaves no choice.
	CPUs int
	// ContextSize is the length of Step.Context in bytes where it is not empty.
	ContextSize int
	// Context lists the context's fields that an input may set, in order of offset.
	Context []Field
	// Output lists the context's fields that an outcome has, in order of offset.
	Output []Field
	// Verdicts names return values. Where Closed is set, no other value is legal.
	Verdicts []Verdict
	Closed   bool
	// Maps lists the maps whose contents a run may read or write, in the object's order.
	Maps []MapShape
	// Tables lists the maps that a run reads and whose contents are no data, such as
	// programs, devices and sockets: Name, Kind, KeySize and Keys, where there are any.
	Tables []MapShape
	// Chance names the helpers with which the program reads time or chance, so that the
	// same input need not give the same outcome.
	Chance []string
	// ChanceSize bounds the length of Step.Chance, from which such helpers are answered
	// where they are virtual; 0 means that they are not, or that there are none.
	ChanceSize int
	// Faults lists the calls that Step.Fault can make fail; where there are none it has no
	// effect.
	Faults []FaultSite
	// Log says that the kernel's log can be read, Stderr that programs have an error stream
	// on which there may be something.
	Log, Stderr bool
	// Counted says that it can be told how many instructions a run executes (HaveInsns).
	Counted bool
	// Claims lists what the verifier claims and runs check; there are none unless that was
	// asked for.
	Claims []Claim
	// Assertions lists where the program asserts something of itself, with the line's text.
	// One that fails writes the number of its line to the only value of AssertMap.
	Assertions []cover.Pos
	// Lasting lists what else outlives a run and cannot be put back, each as a phrase:
	// "map seen (bits of a bloom filter)".
	Lasting []string
	// Dictionary holds byte strings that the program compares with.
	Dictionary [][]byte
	// MaxSteps bounds the number of steps of an input; 0 means 1.
	MaxSteps int
}

// AssertMap is the name of the map in which a program leaves a u32 for each file that it was
// compiled from: the line of the assertion that failed last, 0 for none.
const AssertMap = ".data.bpffuzz"

// FaultSite is a call of a helper that can be made to fail.
type FaultSite struct {
	// Helper is the helper's name, Error what it answers then: "NULL", "-E2BIG".
	Helper, Error string
	// Pos is where the call is; zero when the object does not say.
	Pos cover.Pos
}

// String names the call and where it is.
func (f *FaultSite) String() string {
	if at := f.Pos.String(); at != "" {
		return f.Helper + " at " + at
	}
	return f.Helper
}

// Bounds is a closed range.
type Bounds struct{ Min, Max int }

// Field is an integer at a fixed place in a context, a map key or a map value.
type Field struct {
	// Name is the C name; nested members and array elements read "a.b" and "cb[0]".
	Name string
	// Offset and Size are in bytes; Size is 1, 2, 4 or 8.
	Offset, Size int
	// Min and Max bound the value. Max 0 means that any value of the size is legal.
	Min, Max uint64
	// Big says that the value is stored in network byte order, else in the machine's.
	Big bool
	// Values are boundary values worth trying, besides Min and Max.
	Values []uint64
	// Closed says that no other value than Values is legal. It is for map entries.
	Closed bool
}

// Verdict names a return value.
type Verdict struct {
	Value uint32
	Name  string
}

// MapShape describes a map.
type MapShape struct {
	Name string
	// Kind is the map type as bpftool prints it ("hash", "lru_hash", "percpu_array").
	Kind string
	// KeySize and ValueSize are in bytes. For per-CPU maps ValueSize is that of one
	// CPU, and views return the sum over CPUs of integer fields, field by field.
	KeySize, ValueSize int
	// Key and Value are empty where the object has no BTF for the map.
	Key, Value []Field
	// Keys are keys of the map's initial entries, as many as are worth trying.
	Keys [][]byte
	// Fuzz says which initial entries inputs bring themselves; nil where that was not
	// asked for.
	Fuzz *MapFuzz
	// Global says that it is a section of global variables: one value, whose fields are the
	// variables.
	Global bool
	// MaxEntries is how many entries it takes where it gets full; 0 where it has all of
	// them from the start, or removes others to make room.
	MaxEntries int
	// Lasting says why the contents cannot be put back ("order of an LRU", "timers");
	// "" when they can. Such maps are recreated before a failure is confirmed.
	Lasting string
}

// Lasts lists, a phrase each, what outlives a run and cannot be put back: programs
// and maps are recreated before a failure is confirmed when there is anything.
func (s *Shape) Lasts() []string {
	var list []string
	for i := range s.Maps {
		if m := &s.Maps[i]; m.Lasting != "" {
			list = append(list, fmt.Sprintf("map %s (%s)", m.Name, m.Lasting))
		}
	}
	return append(list, s.Lasting...)
}

// VerdictName returns the name of a return value, or "" when it has none.
func (s *Shape) VerdictName(ret uint32) string {
	for _, v := range s.Verdicts {
		if v.Value == ret {
			return v.Name
		}
	}
	return ""
}

// Check returns an error that names the first step and the first rule of the
// shape that in breaks, or nil.
func (s *Shape) Check(in *Input) error {
	if len(in.Steps) > max(s.MaxSteps, 1) {
		return fmt.Errorf("%d steps, at most %d are allowed", len(in.Steps), max(s.MaxSteps, 1))
	}
	if err := s.CheckEntries(in); err != nil {
		return err
	}
	for i := range in.Steps {
		if err := s.checkStep(&in.Steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func (s *Shape) checkEntry(e *MapEntry) error {
	for i := range s.Maps {
		m := &s.Maps[i]
		if m.Name != e.Map {
			continue
		}
		if len(e.Key) != m.KeySize || len(e.Value) != m.ValueSize {
			return fmt.Errorf("a key of %d and a value of %d bytes, map %q has %d and %d", len(e.Key), len(e.Value), m.Name, m.KeySize, m.ValueSize)
		}
		if m.Fuzz != nil {
			return m.Fuzz.check(m.Name, e.Key, e.Value)
		}
		return nil
	}
	return fmt.Errorf("the target has no map %q whose contents can be set", e.Map)
}

func (s *Shape) checkStep(step *Step) error {
	if n, least := len(step.Packet), s.MinPacket(step.Packet); n < least || n > s.Packet.Max {
		return fmt.Errorf("a packet of %d bytes, %s takes %d to %d", n, s.Type, least, s.Packet.Max)
	}
	if n := len(step.Meta); n > s.Meta.Max || n%4 != 0 {
		return fmt.Errorf("%d bytes of metadata, %s takes a multiple of 4 up to %d", n, s.Type, s.Meta.Max)
	}
	if n := len(step.Context); n != 0 && n != s.ContextSize {
		return fmt.Errorf("a context of %d bytes, %s has %d", n, s.Type, s.ContextSize)
	}
	return nil
}

// MinPacket returns the smallest legal length of a packet that begins like this one.
func (s *Shape) MinPacket(packet []byte) int {
	if len(packet) < 14 {
		return s.Packet.Min
	}
	switch binary.BigEndian.Uint16(packet[12:]) {
	case 0x0800:
		return max(s.Packet.Min, s.MinIPv4)
	case 0x86dd:
		return max(s.Packet.Min, s.MinIPv6)
	}
	return s.Packet.Min
}
