package triage

import (
	"bytes"
	"fmt"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Finding is a confirmed, minimised, named failure.
type Finding struct {
	// Key names the failure: equal for the same oracle, program and last edges. It
	// can be used as a file name.
	Key string
	// Oracle objected; Title is its reason, in one line, for the minimised input.
	Oracle, Title string
	// Program is the program's name, Type its kind as bpftool prints it.
	Program, Type string
	// Payload says that packets are bytes for an application (see corpus.Shape).
	Payload bool
	// Input is minimised, Original is what the fuzzer came across.
	Input, Original *corpus.Input
	// Steps is what Input gave, one for each of its steps.
	Steps []StepSummary
	// Path lists the edges of Input in the order in which they were last passed.
	Path []cover.Edge
	// Events are what the kernel and the program said while Input ran.
	Events []corpus.Event
	// Reliability is how many of Runs runs from the initial state failed.
	Reliability, Runs int
	// Entries are the map entries of Input by field, index by index.
	Entries []EntrySummary
	// Executions is how many runs of the program triage took.
	Executions int
	// Count is how often the failure was met; the first time counts.
	Count int
	// Notes say what a reader has to know, in one line each.
	Notes []string
	// Study says which parts of Input matter; nil where that was not found out.
	Study *Study
}

// StepSummary is what a step gave.
type StepSummary struct {
	Ret uint32
	// Verdict is the name of Ret, "" when it has none or Errno is not 0.
	Verdict string
	// Errno is what BPF_PROG_RUN answered; 0 when the program ran.
	Errno syscall.Errno
	// Packet is the packet after the run, Meta the XDP metadata in front of it,
	// Context the context.
	Packet, Meta, Context []byte
	// Changed lists where Packet differs from the input's, as closed ranges of
	// offsets. It is empty where their lengths differ.
	Changed []corpus.Bounds
	// NoResult says that the type gives no packet back (see corpus.Shape).
	NoResult bool
	// Faulted is the call that the input made fail; nil when none did.
	Faulted *corpus.FaultSite
	// Given are the fields of the input's context that are not zero, Gave those of
	// Context that the run changed or that only it has, where they are not zero.
	Given, Gave []FieldValue
}

// EntrySummary is a map entry by field: those that are not zero, and none where the
// map's types are not known.
type EntrySummary struct{ Key, Value []FieldValue }

// entries describes the map entries of an input. Shape may be nil.
func entries(shape *corpus.Shape, in *corpus.Input) (list []EntrySummary) {
	for i := range in.Maps {
		e, s := &in.Maps[i], EntrySummary{}
		for k := 0; shape != nil && k < len(shape.Maps); k++ {
			if m := &shape.Maps[k]; m.Name == e.Map {
				s = EntrySummary{Key: fieldValues(m.Key, e.Key, nil), Value: fieldValues(m.Value, e.Value, nil)}
			}
		}
		list = append(list, s)
	}
	return list
}

// FieldValue is a field of a context, a key or a value and what it holds.
type FieldValue struct {
	Name  string
	Value uint64
}

// KnownError says that an investigation ended because the failure is known.
type KnownError struct{ Key string }

func (e *KnownError) Error() string { return fmt.Sprintf("finding %s is known already", e.Key) }

// Is makes errors.Is(err, ErrKnown) work.
func (e *KnownError) Is(target error) bool { return target == ErrKnown }

// summarise keeps what the steps of in gave. Shape may be nil.
func summarise(shape *corpus.Shape, in *corpus.Input, out *corpus.Outcome) []StepSummary {
	steps := make([]StepSummary, 0, len(out.Steps))
	for i := range min(len(in.Steps), len(out.Steps)) {
		o := &out.Steps[i]
		s := StepSummary{Ret: o.Ret, Errno: o.Errno, Context: bytes.Clone(o.Context)}
		var data *corpus.Field
		if shape != nil {
			data = dataField(shape)
		}
		if shape != nil && o.Errno == 0 {
			s.Verdict = shape.VerdictName(o.Ret)
		}
		if shape != nil {
			s.NoResult = shape.NoResult
			if n := int(o.Faulted); n > 0 && n <= len(shape.Faults) {
				s.Faulted = &shape.Faults[n-1]
			}
			s.Given = fieldValues(shape.Context, in.Steps[i].Context, nil)
			s.Gave = fieldValues(shape.Output, o.Context, in.Steps[i].Context)
		}
		meta, packet := splitMeta(data, &in.Steps[i], o)
		s.Meta, s.Packet = bytes.Clone(meta), bytes.Clone(packet)
		s.Changed = changes(in.Steps[i].Packet, packet)
		steps = append(steps, s)
	}
	return steps
}

// fieldValues returns the fields of a context that are not zero and not what they
// are in before.
func fieldValues(fields []corpus.Field, context, before []byte) (values []FieldValue) {
	for i := range fields {
		f := &fields[i]
		v, ok := fieldValue(f, context)
		old, _ := fieldValue(f, before)
		if ok && v != 0 && v != old {
			values = append(values, FieldValue{Name: f.Name, Value: v})
		}
	}
	return values
}

// changes returns the ranges in which two strings of one length differ.
func changes(before, after []byte) (ranges []corpus.Bounds) {
	if len(before) != len(after) {
		return nil
	}
	for i := range after {
		switch n := len(ranges); {
		case before[i] == after[i]:
		case n > 0 && ranges[n-1].Max == i-1:
			ranges[n-1].Max = i
		default:
			ranges = append(ranges, corpus.Bounds{Min: i, Max: i})
		}
	}
	return ranges
}

// path returns the edges of an outcome: by its trace, in the order in which they
// were last passed. An outcome without one (where the kernel does not accept the
// variant that orders edges) has its covered edges in the order of the code.
func path(table *cover.Table, out *corpus.Outcome) []cover.Edge {
	if table == nil {
		return nil
	}
	if len(out.Trace) == 0 {
		return covered(table, out.Cover)
	}
	edges := make([]cover.Edge, 0, len(out.Trace))
	for _, i := range out.Trace {
		if i >= 0 && i < len(table.Edges) {
			edges = append(edges, table.Edges[i])
		}
	}
	return edges
}

func covered(table *cover.Table, features []byte) []cover.Edge {
	var edges []cover.Edge
	for i, hit := range table.Expand(nil, features) {
		if hit {
			edges = append(edges, table.Edges[i])
		}
	}
	return edges
}
