package triage

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// newChecksum objects to packets that leave the program alive with an invalid
// checksum where the input had a valid one. It parses only where output bytes
// differ from the input's.
func newChecksum(shape *corpus.Shape) Oracle {
	c := &checksums{shape: shape, data: dataField(shape)}
	c.alive = newValueSet(shape.Verdicts, keepsPacket)
	return Oracle{
		Name: "checksum-broken", Need: corpus.HaveRet | corpus.HavePacket, When: Every,
		packets: c,
		Judge: func(in *corpus.Input, out *corpus.Outcome) error {
			for i := range min(len(in.Steps), len(out.Steps)) {
				if err := c.step(i, &in.Steps[i], &out.Steps[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// checksums is what the oracle knows of a target.
type checksums struct {
	shape *corpus.Shape
	alive valueSet
	data  *corpus.Field
}

// keepsPacket reports whether the packet outlives the program. A dropped packet
// may have any checksum.
func keepsPacket(v corpus.Verdict) bool {
	return slices.Contains([]string{
		"XDP_PASS", "XDP_TX", "XDP_REDIRECT",
		"TC_ACT_OK", "TC_ACT_UNSPEC", "TC_ACT_PIPE", "TC_ACT_RECLASSIFY", "TC_ACT_REDIRECT",
		"PASS", "PASS_CN", "BPF_OK", "BPF_REDIRECT", "BPF_LWT_REROUTE",
	}, v.Name)
}

// judges reports whether a packet matters after that return value.
func (o *checksums) judges(ret uint32) bool {
	return len(o.shape.Verdicts) == 0 || o.alive.has(ret)
}

// unharmed reports whether it takes no search for headers to see that step has
// nothing to object to.
func (o *checksums) unharmed(step *corpus.Step, out *corpus.StepOutcome) bool {
	_, after := splitMeta(o.data, step, out)
	return bytes.Equal(step.Packet, after) || unharmed(step.Packet, after)
}

func (o *checksums) step(i int, step *corpus.Step, out *corpus.StepOutcome) error {
	if out.Errno != 0 || !o.judges(out.Ret) {
		return nil
	}
	_, after := splitMeta(o.data, step, out)
	if bytes.Equal(step.Packet, after) {
		return nil
	}
	var c comparison
	h, blame := c.broken(step.Packet, after)
	if blame == "" {
		return nil
	}
	return fmt.Errorf("step %d, %s: the %s checksum at offset %d %s and is invalid in the output",
		i, verdictText(o.shape, out.Ret), h.Layer, h.Off, blame)
}

// comparison is a packet before and after a step.
type comparison struct {
	before, after []byte
	was, is       packet.Layout
	// grown is how much longer the packet has become.
	grown int
}

// broken returns the first header of after whose checksum is invalid by the
// program's fault, and why that is; "" when there is none.
func (c *comparison) broken(before, after []byte) (h packet.Header, blame string) {
	c.is.Parse(after, packet.Ethernet)
	for i := range c.is.N {
		if !judged(&c.is, i) || c.is.Checksum(after, i) != packet.SumInvalid {
			continue
		}
		if c.before == nil {
			c.before, c.after, c.grown = before, after, len(after)-len(before)
			c.was.Parse(before, packet.Ethernet)
		}
		if blame := c.blame(i); blame != "" {
			return c.is.Headers[i], blame
		}
	}
	return packet.Header{}, ""
}

// blame says why the invalid checksum of header i of the output is the program's
// fault; "" when that is not certain. The header is looked for at the same
// distance from the packet's end (headers were put in front or taken away) and at
// the same offset (the tail was cut or grown). Where both places have such a
// header, nobody can tell which one it was, so both have to have been valid.
func (c *comparison) blame(i int) string {
	h := c.is.Headers[i]
	fromEnd, fromStart := c.find(h.Layer, h.Off-c.grown), c.find(h.Layer, h.Off)
	switch {
	case fromEnd < 0 && c.added(i):
		if c.valid(fromStart) && allValid(&c.was, c.before) {
			return "belongs to a header that the program added"
		}
	case fromEnd < 0 && fromStart < 0, fromEnd < 0 && c.unwritten(h, h.Off-c.grown):
		// The same bytes were no header in the input, by what stands in front of
		// them, or are one now since a tail of zeros completes it.
	case c.valid(fromEnd) && c.valid(fromStart):
		return "was valid in the input"
	}
	return ""
}

// find returns the index of the input's header of that layer and place, or -1.
func (c *comparison) find(layer packet.Layer, off int) int {
	for k, h := range c.was.Headers[:c.was.N] {
		if h.Layer == layer && h.Off == off {
			return k
		}
	}
	return -1
}

// valid reports whether nothing is wrong with header k of the input; there may be
// none.
func (c *comparison) valid(k int) bool {
	return k < 0 || c.was.Checksum(c.before, k) == packet.SumValid
}

// unwritten reports whether the bytes of h stand in the input too, with from in
// place of h.Off.
func (c *comparison) unwritten(h packet.Header, from int) bool {
	return from >= 0 && from+h.Len <= len(c.before) && bytes.Equal(c.before[from:from+h.Len], c.after[h.Off:h.End()])
}

// added reports whether the program wrote header i in front of a packet that it
// carries on behind it: a whole frame, or a network header with the same
// addresses, that was nearer to the start of the input. ICMP errors do so, too.
func (c *comparison) added(i int) bool {
	h := c.is.Headers[i]
	if c.unwritten(h, h.Off) || c.unwritten(h, h.Off-c.grown) {
		return false
	}
	for _, g := range c.is.Headers[i+1 : c.is.N] {
		for k, old := range c.was.Headers[:c.was.N] {
			if old.Layer == g.Layer && old.Off < g.Off && sameAddresses(c.was.Bytes(c.before, k), c.after[g.Off:g.End()], g.Layer) {
				return true
			}
		}
	}
	return false
}

// sameAddresses compares what identifies a frame or a network header.
func sameAddresses(a, b []byte, layer packet.Layer) bool {
	var from int
	switch layer {
	case packet.Ethernet:
	case packet.IPv4:
		from = 12
	case packet.IPv6:
		from = 8
	default:
		return false
	}
	to := layer.MinLen()
	return len(a) >= to && len(b) >= to && bytes.Equal(a[from:to], b[from:to])
}

// judged reports whether the checksum of header i is one that somebody verifies:
// what an ICMP error quotes is cut off or rewritten as its sender likes.
func judged(l *packet.Layout, i int) bool {
	switch l.Headers[i].Layer {
	case packet.IPv4, packet.TCP, packet.UDP, packet.ICMPv4, packet.ICMPv6:
	default:
		return false
	}
	for _, h := range l.Headers[:i] {
		if h.Layer == packet.ICMPv4 || h.Layer == packet.ICMPv6 {
			return false
		}
	}
	return true
}

func allValid(l *packet.Layout, b []byte) bool {
	for i := range l.N {
		if l.Checksum(b, i) == packet.SumInvalid {
			return false
		}
	}
	return true
}
