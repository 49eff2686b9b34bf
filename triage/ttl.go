package triage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// twinTTL is what twins have in place of a TTL that is used up.
const twinTTL = 100

// newTTL objects to packets that live on though their TTL or hop limit was used up:
// decremented from 0 to 255, or to 0 and sent. Where a program decrements one it is given
// one that is used up. A program that writes 0 or 255 whatever was there does neither, so
// that two runs have to agree.
func newTTL(shape *corpus.Shape) Relation {
	t := newHops(shape)
	return Relation{
		Name: "ttl", Need: corpus.HaveRet | corpus.HavePacket | corpus.HaveContext, When: Sampled,
		Twin: t.twin, Judge: t.judge,
	}
}

// newTTLKept objects to packets that are sent to another neighbour with the TTL that
// they had.
func newTTLKept(shape *corpus.Shape) Oracle {
	t := newHops(shape)
	return Oracle{
		Name: "ttl-kept", Need: corpus.HaveRet | corpus.HavePacket | corpus.HaveContext, When: Sampled,
		Judge: func(in *corpus.Input, out *corpus.Outcome) error {
			for i := range min(len(in.Steps), len(out.Steps)) {
				if err := t.kept(&in.Steps[i], &out.Steps[i]); err != nil {
					return fmt.Errorf("step %d, %s: %w", i, verdictText(shape, out.Steps[i].Ret), err)
				}
			}
			return nil
		},
	}
}

// hops looks at the TTL of packets that live on.
type hops struct {
	*survival
	sent valueSet
}

func newHops(shape *corpus.Shape) *hops {
	return &hops{newSurvival(shape), newValueSet(shape.Verdicts, sendsPacket)}
}

// sendsPacket reports whether the program sends the packet on by itself.
func sendsPacket(v corpus.Verdict) bool {
	return slices.Contains([]string{"XDP_TX", "XDP_REDIRECT", "TC_ACT_REDIRECT", "BPF_REDIRECT"}, v.Name)
}

// sendsPackets reports whether programs of the shape can send a packet on.
func sendsPackets(s *corpus.Shape) bool {
	return givesFrames(s) && slices.ContainsFunc(s.Verdicts, sendsPacket)
}

// outer is the outermost IP header of a packet.
type outer struct {
	layer     packet.Layer
	ttl       *byte
	addresses []byte
	header    []byte
}

// outermost finds it; ok is false where there is none or it is cut off.
func outermost(b []byte) (o outer, ok bool) {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	for i, h := range l.Headers[:l.N] {
		switch p := l.Bytes(b, i); {
		case !h.Layer.IsIP():
		case len(p) < h.Layer.MinLen():
			return o, false
		case h.Layer == packet.IPv4:
			return outer{h.Layer, &p[8], p[12:20], p}, true
		default:
			return outer{h.Layer, &p[7], p[8:40], p}, true
		}
	}
	return o, false
}

// field returns the name of the TTL.
func (o *outer) field() string {
	if o.layer == packet.IPv6 {
		return "ipv6.hop_limit"
	}
	return "ipv4.ttl"
}

// set stores a TTL and keeps the header's checksum as right or wrong as it was.
func (o *outer) set(ttl byte) {
	if o.layer == packet.IPv4 {
		sum := uint32(binary.BigEndian.Uint16(o.header[10:])) + uint32(*o.ttl)<<8 + uint32(^ttl)<<8 + 0xff
		sum = sum&0xffff + sum>>16
		binary.BigEndian.PutUint16(o.header[10:], uint16(sum&0xffff+sum>>16))
	}
	*o.ttl = ttl
}

// both finds the same header before and after; ok is false where there is none.
func (t *hops) both(step *corpus.Step, out *corpus.StepOutcome) (was, is outer, ok bool) {
	after, ok := t.changed(step, out)
	if !ok {
		return was, is, false
	}
	was, ok = outermost(step.Packet)
	if !ok {
		return was, is, false
	}
	is, ok = outermost(after)
	return was, is, ok && was.layer == is.layer && bytes.Equal(was.addresses, is.addresses)
}

// twin is the input with a TTL that is used up where the program decremented one, and
// with one that lasts where it may have used one up.
func (t *hops) twin(dst, src *corpus.Input, out *corpus.Outcome) bool {
	found := false
	for i := range min(len(src.Steps), len(out.Steps)) {
		was, is, ok := t.both(&src.Steps[i], &out.Steps[i])
		if !ok || *is.ttl != *was.ttl-1 {
			continue
		}
		if !found {
			*dst = *src.Clone()
		}
		found = true
		other, _ := outermost(dst.Steps[i].Packet)
		switch sent := t.sent.has(out.Steps[i].Ret); {
		case *was.ttl == 0, *was.ttl == 1 && sent:
			other.set(twinTTL)
		case sent:
			other.set(1)
		default:
			other.set(0)
		}
	}
	return found
}

func (t *hops) judge(a, b *corpus.Outcome) error {
	for i := range min(len(a.Steps), len(b.Steps)) {
		one, okA := t.left(&a.Steps[i])
		other, okB := t.left(&b.Steps[i])
		if !okA || !okB || *one.ttl == *other.ttl {
			continue
		}
		if objection := t.usedUp(one, &a.Steps[i]); objection != "" && *other.ttl == twinTTL-1 {
			return fmt.Errorf("step %d, %s: %s", i, verdictText(t.shape, a.Steps[i].Ret), objection)
		}
		if objection := t.usedUp(other, &b.Steps[i]); objection != "" {
			return fmt.Errorf("step %d, %s, with a TTL that is used up: %s", i, verdictText(t.shape, b.Steps[i].Ret), objection)
		}
	}
	return nil
}

// usedUp says what is wrong with the TTL of a packet that lives on, "" for nothing,
// provided that the program decrements it.
func (t *hops) usedUp(o outer, s *corpus.StepOutcome) string {
	switch {
	case *o.ttl == 255:
		return o.field() + " is decremented from 0 to 255"
	case *o.ttl == 0 && t.sent.has(s.Ret):
		return o.field() + " is decremented to 0 and the packet sent on"
	}
	return ""
}

// left finds the header that a packet leaves the program with.
func (t *hops) left(s *corpus.StepOutcome) (o outer, ok bool) {
	if s.Errno != 0 || !t.judges(s.Ret) {
		return o, false
	}
	_, after := splitMeta(t.data, &corpus.Step{}, s)
	return outermost(after)
}

func (t *hops) kept(step *corpus.Step, out *corpus.StepOutcome) error {
	if !t.sent.has(out.Ret) {
		return nil
	}
	was, is, ok := t.both(step, out)
	if !ok || *is.ttl < *was.ttl {
		return nil
	}
	_, after := splitMeta(t.data, step, out)
	if bytes.Equal(step.Packet[:6], after[:6]) {
		return nil // the same neighbour: a bridge
	}
	return fmt.Errorf("%s was %d and is %d in a packet that is sent to another Ethernet address", is.field(), *was.ttl, *is.ttl)
}
