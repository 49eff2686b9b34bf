package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// newUninitialised compares two runs of an input that find other bytes on the stack:
// what differs comes from variables and padding that the program did not write.
func newUninitialised(shape *corpus.Shape) Relation {
	return poisonRelation(shape, "uninitialised", "on the stack", corpus.OtherStack, func(*corpus.Input, *corpus.Outcome) bool { return true })
}

// newHeadroom compares two runs of an input that find other bytes in front of the
// packet: what differs comes from bytes that the program uncovered and did not write.
func newHeadroom(shape *corpus.Shape) Relation {
	data := dataField(shape)
	return poisonRelation(shape, "headroom", "in the room in front of the packet", corpus.OtherHeadroom, func(in *corpus.Input, out *corpus.Outcome) bool {
		for i := range min(len(in.Steps), len(out.Steps)) {
			meta, after := splitMeta(data, &in.Steps[i], &out.Steps[i])
			if len(meta) > len(in.Steps[i].Meta) || len(after) > len(in.Steps[i].Packet) {
				return true
			}
		}
		return false
	})
}

// poisonRelation has a twin, where there may be anything to see, that finds other bytes
// in what is named where, by the flag.
func poisonRelation(shape *corpus.Shape, name, where string, flag uint32, worth func(*corpus.Input, *corpus.Outcome) bool) Relation {
	data, lives := dataField(shape), newSurvival(shape)
	return Relation{
		Name: name, Need: corpus.HaveRet | corpus.HavePacket | corpus.HaveContext, When: Sampled,
		Base: corpus.Poisoned,
		Twin: func(dst, src *corpus.Input, out *corpus.Outcome) bool {
			if !worth(src, out) {
				return false
			}
			*dst = *withFlags(src, corpus.Poisoned|flag)
			return true
		},
		Judge: func(a, b *corpus.Outcome) error {
			for i := range min(len(a.Steps), len(b.Steps)) {
				if lives.gone(&a.Steps[i], &b.Steps[i]) {
					continue
				}
				if err := sameStep(shape, &a.Steps[i], &b.Steps[i]); err != nil {
					return fmt.Errorf("step %d, first with zeros %s, then with ones: %w%s", i, where, err, differingField(data, &a.Steps[i], &b.Steps[i]))
				}
			}
			return nil
		},
	}
}

// differingField names the first field in which two packets of one length differ, in
// parentheses; "" where there is none.
func differingField(data *corpus.Field, a, b *corpus.StepOutcome) string {
	if a.Errno != 0 || a.Ret != b.Ret || len(a.Packet) != len(b.Packet) {
		return ""
	}
	at := differ(a.Packet, b.Packet)
	meta, p := splitMeta(data, &corpus.Step{}, a)
	if at -= len(meta); at < 0 {
		return ""
	}
	var l packet.Layout
	l.Parse(p, packet.Ethernet)
	for _, h := range l.Headers[:l.N] {
		if at >= h.End() {
			continue
		}
		for _, f := range packet.Fields(h.Layer) {
			if bit := (at - h.Off) * 8; f.Bit < bit+8 && bit < f.Bit+f.Bits {
				return fmt.Sprintf(" (%s.%s)", h.Layer, f.Name)
			}
		}
		return fmt.Sprintf(" (%s at offset %d)", h.Layer, h.Off)
	}
	return ""
}
