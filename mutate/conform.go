package mutate

import (
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Conform makes an input that came from elsewhere (a seed, another target's
// corpus, bytes that a foreign engine mutated) one that the shape allows: it cuts
// and pads lengths, drops surplus steps and illegal map entries and replaces illegal
// values of context fields by the nearest legal ones. Like Mutate it stays within the capacity of
// the input's buffers; cut reports whether bytes, steps or entries were lost.
func Conform(shape *corpus.Shape, in *corpus.Input) (cut bool) {
	m := Mutator{shape: shape}
	if n := max(shape.MaxSteps, 1); len(in.Steps) > n {
		in.Steps = in.Steps[:n]
		cut = true
	}
	cut = dropIllegal(shape, in) || cut
	fields := legalFields(shape)
	for i := range in.Steps {
		s := &in.Steps[i]
		packet, meta, context := len(s.Packet), len(s.Meta), len(s.Context)
		if context > 0 {
			s.Context = setLen(s.Context, shape.ContextSize)
		}
		m.legalize(s)
		cut = cut || len(s.Packet) < packet || len(s.Meta) < meta || len(s.Context) < context
		conformContext(fields, s.Context)
	}
	return cut
}

// Fit returns a copy of an input that the shape allows: one that is too short is
// padded, one that is too long is refused, since a part of it would be another input.
// The error says what the shape does not allow.
func Fit(shape *corpus.Shape, in *corpus.Input) (*corpus.Input, error) {
	fitted, cut := Adapt(shape, in)
	if cut {
		return nil, shape.Check(in)
	}
	return fitted, nil
}

// Adapt returns a copy of any input that the shape allows: Conform with room to pad,
// without map entries that the target does not have. Cut reports whether bytes, steps
// or entries were lost.
func Adapt(shape *corpus.Shape, in *corpus.Input) (fitted *corpus.Input, cut bool) {
	fitted = in.Clone()
	fitted.Maps = slices.DeleteFunc(fitted.Maps, func(e corpus.MapEntry) bool {
		return shape.Check(&corpus.Input{Maps: []corpus.MapEntry{e}}) != nil
	})
	cut = len(fitted.Maps) < len(in.Maps)
	for i := range fitted.Steps {
		s := &fitted.Steps[i]
		s.Packet = withRoom(s.Packet, max(shape.Packet.Min, shape.MinIPv4, shape.MinIPv6))
		s.Meta = withRoom(s.Meta, (len(s.Meta)+3)&^3)
		if len(s.Context) > 0 {
			s.Context = withRoom(s.Context, shape.ContextSize)
		}
	}
	return fitted, Conform(shape, fitted) || cut
}

// withRoom returns b with a capacity of at least n.
func withRoom(b []byte, n int) []byte {
	return append(make([]byte, 0, max(n, len(b))), b...)
}

// conformContext clears what is no field, since the kernel refuses most non-zero
// bytes there, and clamps what is one.
func conformContext(fields []corpus.Field, context []byte) {
	at := 0
	for i := range fields {
		f := &fields[i]
		if f.Offset+f.Size > len(context) {
			continue
		}
		if f.Offset > at {
			clear(context[at:f.Offset])
		}
		at = max(at, f.Offset+f.Size)
		putField(context, f, clamp(f, getField(context, f)))
	}
	clear(context[min(at, len(context)):])
}
