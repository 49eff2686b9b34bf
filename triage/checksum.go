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
	}, v.Name)
}

func (c *checksums) step(i int, step *corpus.Step, out *corpus.StepOutcome) error {
	if out.Errno != 0 || len(c.shape.Verdicts) > 0 && !c.alive.has(out.Ret) {
		return nil
	}
	_, after := splitMeta(c.data, step, out)
	if bytes.Equal(step.Packet, after) {
		return nil
	}
	h, known := broken(step.Packet, after)
	if h.Layer == packet.None {
		return nil
	}
	before := "was valid in the input"
	if !known {
		before = "belongs to a header that the program added"
	}
	return fmt.Errorf("step %d, %s: the %s checksum at offset %d %s and is invalid in the output",
		i, verdictText(c.shape, out.Ret), h.Layer, h.Off, before)
}

// broken returns the first header of after whose checksum is invalid though that
// of its counterpart in before is valid (known), or though it is new in a longer
// packet all of whose checksums were right. The layer is None when there is none.
func broken(before, after []byte) (h packet.Header, known bool) {
	var was, is packet.Layout
	is.Parse(after, packet.Ethernet)
	parsed := false
	for i := range is.N {
		if !judged(&is, i) || is.Checksum(after, i) != packet.SumInvalid {
			continue
		}
		if !parsed {
			was.Parse(before, packet.Ethernet)
			parsed = true
		}
		grown := len(after) - len(before)
		k := counterpart(&was, is.Headers[i], grown)
		switch {
		case k >= 0 && was.Checksum(before, k) == packet.SumValid:
			return is.Headers[i], true
		case k < 0 && grown > 0 && allValid(&was, before):
			return is.Headers[i], false
		}
	}
	return packet.Header{}, false
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

// counterpart returns the index of the header that was where h is: at the same
// distance from the packet's end (headers were put in front or taken away), else
// at the same offset. Layer and place have to agree, since a rewritten port makes
// Parse read other headers in the same bytes.
func counterpart(was *packet.Layout, h packet.Header, grown int) int {
	for _, off := range [2]int{h.Off - grown, h.Off} {
		for k, old := range was.Headers[:was.N] {
			if old.Layer == h.Layer && old.Off == off {
				return k
			}
		}
	}
	return -1
}

func allValid(l *packet.Layout, b []byte) bool {
	for i := range l.N {
		if l.Checksum(b, i) == packet.SumInvalid {
			return false
		}
	}
	return true
}
