package bpf

import (
	"os"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// planted is a program with a bug that an oracle has to find. The object has the program
// with the bug mended as well, under the same name with "_clean" behind it.
type planted struct {
	oracle, program string
	object          string
	options         Options
	// flags are those of the steps with which the fuzzer begins.
	flags uint32
	// execs is how many executions the fuzzer may take to find the bug; 0 means 100,000.
	execs uint64
	// insns is the budget of instructions, 0 for none.
	insns uint64
	// needs returns why this kernel cannot run the programs, "" where it can.
	needs func() string
}

const (
	plantedExecs = 100_000
	// cleanExecs is how many executions of a clean twin have to be silent, manyExecs how
	// many with BPFFUZZ_ORACLES set.
	cleanExecs = 200_000
	manyExecs  = 10_000_000
)

// TestOraclesFindWhatIsPlanted: each oracle finds the bug that was planted for it, and is
// silent where the bug is mended, with all oracles of the default.
func TestOraclesFindWhatIsPlanted(t *testing.T) {
	needKernel(t)
	clean := uint64(cleanExecs)
	if os.Getenv("BPFFUZZ_ORACLES") != "" {
		clean = manyExecs
	}
	for _, p := range slices.Concat(watched(), twins(), greedy()) {
		t.Run(p.oracle+"/"+p.program, func(t *testing.T) {
			if p.needs != nil {
				if why := p.needs(); why != "" {
					t.Skip(why)
				}
			}
			t.Run("bug", func(t *testing.T) {
				limit := p.execs
				if limit == 0 {
					limit = plantedExecs
				}
				r := p.fuzz(t, p.program, limit, true)
				if len(r.Findings) == 0 {
					t.Fatalf("nothing is found in %d executions", r.Stats.Execs)
				}
				if f := r.Findings[0]; f.Oracle != p.oracle {
					t.Errorf("oracle %s found %s, want %s to find it", f.Oracle, f.Title, p.oracle)
				}
				t.Logf("after %d executions: %s", r.Stats.Execs, r.Findings[0].Title)
			})
			t.Run("clean", func(t *testing.T) {
				for _, f := range p.fuzz(t, p.program+"_clean", clean, false).Findings {
					t.Errorf("%s: %s", f.Oracle, f.Title)
				}
			})
		})
	}
}

func (p planted) fuzz(t *testing.T, program string, execs uint64, stop bool) *fuzz.Result {
	t.Helper()
	obj, err := Open(p.object)
	if err != nil {
		t.Fatal(err)
	}
	opts := p.options
	opts.Program = program
	target, err := NewTarget(obj, opts)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	choice := triage.OracleOptions{Enable: map[string]bool{p.oracle: true}, MaxInsns: p.insns}
	if p.insns > 0 {
		choice.Enable = nil
	}
	oracles, relations, err := triage.Oracles(target.Shape(), choice)
	if err != nil {
		t.Fatal(err)
	}
	seeds := mutate.Seeds(target.Shape())
	for _, in := range seeds {
		for i := range in.Steps {
			in.Steps[i].Flags |= p.flags
		}
	}
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{
		Seed: 1, Execs: execs, Workers: 1, Seeds: seeds, Judge: triage.NewJudge(oracles, relations),
		Triage: triage.Options{Program: program, Table: target.Table(), Shape: target.Shape()},
		Warn:   func(err error) { t.Log(err) }, StopOnFinding: stop,
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}
