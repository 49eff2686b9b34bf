package triage

import (
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestClaimOracle(t *testing.T) {
	shape := &corpus.Shape{Claims: []corpus.Claim{
		{Func: "fw", Insn: 3, Text: "r2 &= 15", Register: "r2", Value: "umax=0xf"},
		{Func: "fw", Insn: 9, Text: "if r1 > 5 goto pc+2", Taken: true, Register: "r1", Value: "umin=0x6"},
	}}
	oracle := newClaim(shape)
	for _, tt := range []struct {
		name string
		step corpus.StepOutcome
		want string
	}{
		{"all hold", corpus.StepOutcome{}, ""},
		{"one does not", corpus.StepOutcome{Claim: 1, ClaimValue: 16}, "step 1: behind instruction 3 of fw, r2 &= 15, the verifier takes r2 for umax=0xf, and it was 0x10"},
		{"on a jump", corpus.StepOutcome{Claim: 2, ClaimValue: 5}, "step 1: where the jump is taken of instruction 9 of fw, if r1 > 5 goto pc+2, the verifier takes r1 for umin=0x6, and it was 0x5"},
		{"unknown", corpus.StepOutcome{Claim: 3}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := oracle.Judge(&corpus.Input{}, &corpus.Outcome{Steps: []corpus.StepOutcome{{}, tt.step}})
			if got := errorText(err); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	for _, claims := range []bool{false, true} {
		s := &corpus.Shape{}
		if claims {
			s = shape
		}
		oracles, _, err := Oracles(s, OracleOptions{})
		if err != nil {
			t.Fatal(err)
		}
		names := strings.Join(NewJudge(oracles, nil).Names(), " ")
		if strings.Contains(names, "verifier-claim") != claims {
			t.Errorf("with claims %v the oracles are %s", claims, names)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
