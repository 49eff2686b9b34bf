package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// ClaimOracle is the name of the oracle for claims of the verifier.
const ClaimOracle = "verifier-claim"

// newClaim objects to runs in which a register had a value that the verifier has
// excluded: the kernel accepts the program, and perhaps others, for a wrong reason.
func newClaim(shape *corpus.Shape) Oracle {
	return Oracle{
		Name: ClaimOracle, Need: corpus.HaveRet, When: Every,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Steps {
				s := &out.Steps[i]
				if n := int(s.Claim); n > 0 && n <= len(shape.Claims) {
					return fmt.Errorf("step %d: %s, and it was %#x", i, shape.Claims[n-1].String(), s.ClaimValue)
				}
			}
			return nil
		},
	}
}
