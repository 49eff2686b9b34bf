package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// TestSolvesTheChain is given 1,000 executions for nine comparisons in a row.
func TestSolvesTheChain(t *testing.T) {
	needKernel(t)
	obj, err := Open("../../examples/puzzles/chain/chain.o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{})
	if err != nil {
		t.Fatal(err)
	}
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(5) {
		result, err := fuzz.Run(t.Context(), target, fuzz.Options{
			Seed: seed, Execs: 1000, StopOnFinding: true, Judge: triage.NewJudge(oracles, relations),
			Triage: triage.Options{Program: "chain", Table: target.Table(), Shape: target.Shape()},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Findings) != 1 {
			t.Errorf("seed %d: %d findings after %d executions, %d of %d edges", seed, len(result.Findings), result.Stats.Execs, result.Stats.Edges, result.Stats.Total)
		}
		t.Logf("seed %d: %d executions, %d comparisons solved", seed, result.Stats.Execs, result.Stats.Solved)
	}
}
