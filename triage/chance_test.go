package triage

import (
	"slices"
	"testing"
)

func TestChanceSwitchesDeterminismOff(t *testing.T) {
	shape := xdpShape()
	shape.Chance = []string{"bpf_get_prandom_u32"}
	names := func(enable map[string]bool) []string {
		_, relations, err := Oracles(shape, OracleOptions{Enable: enable})
		if err != nil {
			t.Fatal(err)
		}
		return NewJudge(nil, relations).Names()
	}
	if got := names(nil); slices.Contains(got, "nondeterministic") {
		t.Errorf("a program that calls a random number generator is judged by %v", got)
	}
	if got := names(map[string]bool{"nondeterministic": true}); !slices.Contains(got, "nondeterministic") {
		t.Errorf("switched on, it is judged by %v", got)
	}
}
