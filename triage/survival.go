package triage

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// survival says which packets outlive the program, for oracles that compare them
// with what they were.
type survival struct {
	shape *corpus.Shape
	alive valueSet
	data  *corpus.Field
}

func newSurvival(shape *corpus.Shape) *survival {
	return &survival{shape: shape, alive: newValueSet(shape.Verdicts, keepsPacket), data: dataField(shape)}
}

// keepsPacket reports whether the packet outlives the program. A dropped packet
// may have any checksum and length.
func keepsPacket(v corpus.Verdict) bool {
	return slices.Contains([]string{
		"XDP_PASS", "XDP_TX", "XDP_REDIRECT",
		"TC_ACT_OK", "TC_ACT_UNSPEC", "TC_ACT_PIPE", "TC_ACT_RECLASSIFY", "TC_ACT_REDIRECT",
		"PASS", "PASS_CN", "BPF_OK", "BPF_REDIRECT", "BPF_LWT_REROUTE",
	}, v.Name)
}

// judges reports whether a packet matters after that return value.
func (s *survival) judges(ret uint32) bool {
	return len(s.shape.Verdicts) == 0 || s.alive.has(ret)
}

// gone reports whether two outcomes of a step agree that its packet does not live on:
// what it was and its context make no difference then.
func (s *survival) gone(a, b *corpus.StepOutcome) bool {
	return a.Errno == 0 && b.Errno == 0 && a.Ret == b.Ret && !s.judges(a.Ret)
}

// unharmed reports whether it takes no search for headers to see that there is
// nothing to object to.
func (s *survival) unharmed(step *corpus.Step, out *corpus.StepOutcome) bool {
	_, after := splitMeta(s.data, step, out)
	return bytes.Equal(step.Packet, after) || unharmed(step.Packet, after)
}

// fits reports whether the output's lengths are right, where that is quickly told.
func (s *survival) fits(step *corpus.Step, out *corpus.StepOutcome) bool {
	_, after := splitMeta(s.data, step, out)
	return fit(after) == right
}

// changed returns a packet that lives on and is not what it was; ok is false for any
// other.
func (s *survival) changed(step *corpus.Step, out *corpus.StepOutcome) (after []byte, ok bool) {
	if out.Errno != 0 || !s.judges(out.Ret) {
		return nil, false
	}
	_, after = splitMeta(s.data, step, out)
	return after, !bytes.Equal(step.Packet, after)
}

// oracle returns one that judges every changed packet that lives on. What unharmed
// lets pass, object must not object to.
func (s *survival) oracle(name string, object func(before, after []byte) error) Oracle {
	return Oracle{
		Name: name, Need: corpus.HaveRet | corpus.HavePacket, When: Every,
		packets: s,
		Judge: func(in *corpus.Input, out *corpus.Outcome) error {
			for i := range min(len(in.Steps), len(out.Steps)) {
				after, ok := s.changed(&in.Steps[i], &out.Steps[i])
				if !ok {
					continue
				}
				if err := object(in.Steps[i].Packet, after); err != nil {
					return fmt.Errorf("step %d, %s: %w", i, verdictText(s.shape, out.Steps[i].Ret), err)
				}
			}
			return nil
		},
	}
}
