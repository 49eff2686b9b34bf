package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Slow is the name of the oracle that has a budget of instructions.
const Slow = "slow"

// slowError is the failure of a step that executes too many instructions. Where a
// program is slow on several paths, the slowest that is found stands for all.
type slowError struct {
	step          int
	insns, budget uint64
}

func (e *slowError) Error() string {
	return fmt.Sprintf("step %d executed %d instructions, the budget is %d", e.step, e.insns, e.budget)
}

// site implements sited.
func (e *slowError) site() string { return "budget" }

// newSlow objects to steps that execute more than budget instructions.
func newSlow(budget uint64) Oracle {
	return Oracle{
		Name: Slow, Need: corpus.HaveInsns, When: Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			if out.Have&corpus.HaveInsns == 0 {
				return nil
			}
			if i := slowest(out); i >= 0 && out.Steps[i].Insns > budget {
				return &slowError{step: i, insns: out.Steps[i].Insns, budget: budget}
			}
			return nil
		},
		weight: func(out *corpus.Outcome) uint64 {
			if i := slowest(out); i >= 0 {
				return out.Steps[i].Insns
			}
			return 0
		},
	}
}

// slowest returns the first step that executed most instructions, -1 without any.
func slowest(out *corpus.Outcome) int {
	at := -1
	for i := range out.Steps {
		if at < 0 || out.Steps[i].Insns > out.Steps[at].Insns {
			at = i
		}
	}
	return at
}

// noteCost says where instructions were executed, and how long that took.
func (v *investigation) noteCost(out *corpus.Outcome) {
	i := slowest(out)
	if out.Have&corpus.HaveInsns == 0 || i < 0 {
		return
	}
	v.note("step %d executed %d instructions; with those of coverage it took %d ns in one run", i, out.Steps[i].Insns, out.Steps[i].Duration)
	for j := range out.Lines {
		v.note("%s", out.Lines[j].String())
	}
}
