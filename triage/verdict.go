package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// valueSet is a set of return values: small ones in a mask, the others in a list.
type valueSet struct {
	small uint64
	large []uint32
}

func newValueSet(verdicts []corpus.Verdict, in func(corpus.Verdict) bool) (s valueSet) {
	for _, v := range verdicts {
		switch {
		case !in(v):
		case v.Value < 64:
			s.small |= 1 << v.Value
		default:
			s.large = append(s.large, v.Value)
		}
	}
	return s
}

func (s *valueSet) has(v uint32) bool {
	if v < 64 {
		return s.small>>v&1 != 0
	}
	for _, l := range s.large {
		if l == v {
			return true
		}
	}
	return false
}

// newVerdict objects to return values outside the set of the program's type.
func newVerdict(shape *corpus.Shape) Oracle {
	legal := newValueSet(shape.Verdicts, func(corpus.Verdict) bool { return true })
	kind := shape.Type
	return Oracle{
		Name: "verdict", Need: corpus.HaveRet, When: Every,
		Returns: legal.has,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Steps {
				s := &out.Steps[i]
				if s.Errno == 0 && !legal.has(s.Ret) {
					return fmt.Errorf("step %d returned %d (%#x), which is no verdict of %s", i, int32(s.Ret), s.Ret, kind)
				}
			}
			return nil
		},
	}
}

// newAborted objects to XDP_ABORTED, which some programs return on purpose.
func newAborted(shape *corpus.Shape) Oracle {
	aborts := newValueSet(shape.Verdicts, isAborted)
	return Oracle{
		Name: "aborted", Need: corpus.HaveRet, When: Every,
		Returns: func(ret uint32) bool { return !aborts.has(ret) },
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Steps {
				if s := &out.Steps[i]; s.Errno == 0 && aborts.has(s.Ret) {
					return fmt.Errorf("step %d returned XDP_ABORTED", i)
				}
			}
			return nil
		},
	}
}

func isAborted(v corpus.Verdict) bool { return v.Name == "XDP_ABORTED" }
