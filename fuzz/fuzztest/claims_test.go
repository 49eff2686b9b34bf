package fuzztest

import (
	"slices"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
)

// TestCheckVerifier: claims are checked and judged where that is wanted.
func TestCheckVerifier(t *testing.T) {
	if why := missing(); why != "" {
		t.Skip(why)
	}
	target := Target{Object: "../../examples/firewall/firewall.o"}
	isClaim := func(o triage.Oracle) bool { return o.Name == triage.ClaimOracle }
	plain, err := load(&target)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(plain.oracles, isClaim) {
		t.Error("claims are judged that nobody wanted to have checked")
	}
	target.CheckVerifier = true
	checked, err := load(&target)
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(checked.notes, "\n"); !strings.Contains(notes, "are checked in each run") {
		t.Errorf("the notes do not say that claims are checked: %q", notes)
	}
	at := slices.IndexFunc(checked.oracles, isClaim)
	if at < 0 {
		t.Fatal("there is no oracle of claims")
	}
	in, out := &corpus.Input{Steps: []corpus.Step{{}}}, &corpus.Outcome{Steps: []corpus.StepOutcome{{Claim: 1, ClaimValue: 0x1234}}}
	if err := checked.oracles[at].Judge(in, out); err == nil || !strings.Contains(err.Error(), "and it was 0x1234") {
		t.Errorf("a claim that does not hold gives the error %v", err)
	}
	target.Setup = bpf.Setup{Faults: true}
	if _, err := load(&target); err == nil || !strings.Contains(err.Error(), "check claims, or make calls fail") {
		t.Errorf("claims and calls that fail give the error %v", err)
	}
}
