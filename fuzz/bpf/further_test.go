package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// The table says which edges lead to changes of maps and which enter programs, and so a
// trace tells runs apart by both.
func TestTraceHasFurtherFeatures(t *testing.T) {
	needBatches(t)
	target, _ := openPuzzle(t, "tailcall")
	programs, table := 0, target.Table()
	for i := range table.Edges {
		if e := &table.Edges[i]; e.Program {
			programs++
			if e.Kind != cover.Entry {
				t.Errorf("%s enters a program", e.Label())
			}
		}
	}
	if want := len(target.names); programs != want || want < 2 {
		t.Errorf("%d edges enter the %d programs", programs, want)
	}
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{Seed: 1, Execs: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	var inputs []*corpus.Input
	for _, e := range result.Entries {
		inputs = append(inputs, e.Input)
	}
	checkDomain(t, target, inputs, cover.Chains)
	target, _ = openPuzzle(t, "timeout")
	checkDomain(t, target, mutate.Seeds(target.Shape()), cover.Updates)
}

// checkDomain fails unless some of the inputs have a feature of the domain, some have
// none, and all have one for what they return.
func checkDomain(t *testing.T, target *Target, inputs []*corpus.Input, domain cover.Domain) {
	t.Helper()
	with, without := 0, 0
	isolated(t, func() {
		e := open(t, target)
		for _, in := range inputs {
			out, err := e.Alone(t.Context(), in, corpus.HaveRet|corpus.HaveTrace)
			if err != nil {
				t.Fatal(err)
			}
			var f cover.Further
			if f.AddTrace(target.Table(), out.Trace, out.Steps[len(out.Steps)-1].Ret); f[cover.Returns] == 0 {
				t.Error("a run has no feature for what it returned")
			}
			if f[domain] != 0 {
				with++
			} else {
				without++
			}
		}
	})
	if with == 0 || without == 0 {
		t.Errorf("domain %d: %d inputs have a feature and %d have none, want some of both", domain, with, without)
	}
}
