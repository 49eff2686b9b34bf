package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

func TestTwinOracles(t *testing.T) {
	needKernel(t)
	obj, err := Open("testdata/oracles_twin.o")
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, program, oracle string, execs uint64, stop bool) *fuzz.Result {
		target, err := NewTarget(obj, Options{Program: program})
		if err != nil {
			t.Fatalf("%+v", err)
		}
		oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{Enable: map[string]bool{oracle: true}})
		if err != nil {
			t.Fatal(err)
		}
		result, err := fuzz.Run(t.Context(), target, fuzz.Options{
			Seed: 1, Execs: execs, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: triage.NewJudge(oracles, relations),
			Triage: triage.Options{Program: program, Table: target.Table(), Shape: target.Shape()},
			Warn:   func(err error) { t.Log(err) }, StopOnFinding: stop,
		})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	for _, test := range []struct{ program, oracle string }{
		{"lengths", "lengths-broken"},
		{"ttl", "ttl"},
		{"ttl_kept", "ttl-kept"},
		{"uninitialised", "uninitialised"},
		{"uninitialised_call", "uninitialised"},
		{"headroom", "headroom"},
		{"headroom_meta", "headroom"},
		{"padding", "past-total-length"},
		{"frags", "linear-frags"},
	} {
		t.Run(test.program, func(t *testing.T) {
			r := run(t, test.program, test.oracle, 2_000_000, true)
			for _, f := range r.Findings {
				t.Logf("%d: %s: %s (%d steps, %d bytes)", r.Stats.Execs, f.Oracle, f.Title, len(f.Input.Steps), f.Input.Len())
			}
			if len(r.Findings) == 0 || r.Findings[0].Oracle != test.oracle {
				t.Errorf("%d findings", len(r.Findings))
			}
		})
		t.Run(test.program+"_clean", func(t *testing.T) {
			for _, f := range run(t, test.program+"_clean", test.oracle, 200_000, false).Findings {
				t.Errorf("%s: %s", f.Oracle, f.Title)
			}
		})
	}
}
