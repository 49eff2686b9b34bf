package bpf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// twins are the programs of the oracles that compare.
func twins() (rows []planted) {
	for _, r := range []struct{ program, oracle string }{
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
		rows = append(rows, planted{oracle: r.oracle, program: r.program, object: "testdata/oracles_twin.o", execs: 2_000_000})
	}
	return rows
}

// Programs of others are not accused of what oracles that compare look for.
func TestProgramsOfOthersAreNotAccused(t *testing.T) {
	needKernel(t)
	objects, err := filepath.Glob("/usr/lib/*/bpf/*.o")
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) == 0 {
		t.Skip("no objects of libxdp and xdp-tools are installed")
	}
	execs := uint64(10_000)
	if os.Getenv("BPFFUZZ_ORACLES") != "" {
		execs = cleanExecs
	}
	mine := []string{"lengths-broken", "ttl", "ttl-kept", "uninitialised", "headroom", "past-total-length", "linear-frags"}
	for _, file := range objects {
		obj, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(obj.spec.Programs)) {
			if typ := obj.spec.Programs[name].Type; typ != ebpf.XDP && typ != ebpf.SchedCLS {
				continue
			}
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				target, err := NewTarget(obj, Options{Program: name})
				if err != nil {
					t.Skipf("the kernel does not load it: %v", err)
				}
				enable := map[string]bool{}
				for _, oracle := range mine {
					_, _, err := triage.Oracles(target.Shape(), triage.OracleOptions{Enable: map[string]bool{oracle: true}})
					enable[oracle] = err == nil // else it has no meaning
				}
				for _, f := range accuse(t, target, enable, execs) {
					t.Errorf("%s: %s", f.Oracle, f.Title)
				}
			})
		}
	}
}

// accuse fuzzes a target with the default oracles and those that enable switches.
func accuse(t *testing.T, target *Target, enable map[string]bool, execs uint64) []*triage.Finding {
	t.Helper()
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{Enable: enable})
	if err != nil {
		t.Fatal(err)
	}
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{
		Seed: 1, Execs: execs, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: triage.NewJudge(oracles, relations),
		Triage: triage.Options{Table: target.Table(), Shape: target.Shape()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result.Findings
}
