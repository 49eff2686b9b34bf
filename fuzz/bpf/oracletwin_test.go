package bpf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// execsOr returns how many executions a program is run for on which oracles are to be
// silent: BPFFUZZ_ORACLES says so, or n.
func execsOr(t *testing.T, n uint64) uint64 {
	t.Helper()
	text := os.Getenv("BPFFUZZ_ORACLES")
	if text == "" {
		return n
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("BPFFUZZ_ORACLES is no number of executions: %v", err)
	}
	return n
}

// judged fuzzes a target with the default oracles and those that enable switches.
func judged(t *testing.T, target *Target, enable map[string]bool, execs uint64, stop bool) *fuzz.Result {
	t.Helper()
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{Enable: enable})
	if err != nil {
		t.Fatal(err)
	}
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{
		Seed: 1, Execs: execs, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: triage.NewJudge(oracles, relations),
		Triage: triage.Options{Table: target.Table(), Shape: target.Shape()},
		Warn:   func(err error) { t.Log(err) }, StopOnFinding: stop,
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Each oracle that compares finds the bug that was planted for it, and nothing in the
// program without it.
func TestTwinOracles(t *testing.T) {
	needKernel(t)
	obj, err := Open("testdata/oracles_twin.o")
	if err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, program string) *Target {
		target, err := NewTarget(obj, Options{Program: program})
		if err != nil {
			t.Fatalf("%+v", err)
		}
		return target
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
		enable := map[string]bool{test.oracle: true}
		t.Run(test.program, func(t *testing.T) {
			r := judged(t, open(t, test.program), enable, 2_000_000, true)
			if len(r.Findings) != 1 || r.Findings[0].Oracle != test.oracle {
				t.Fatalf("%d findings after %d executions", len(r.Findings), r.Stats.Execs)
			}
			f := r.Findings[0]
			t.Logf("after %d executions: %s (%d bytes)", r.Stats.Execs, f.Title, f.Input.Len())
			if f.Reliability != f.Runs || len(f.Input.Steps) != 1 || f.Input.Len() > 301 {
				t.Errorf("%d of %d runs fail, %d steps, %d bytes", f.Reliability, f.Runs, len(f.Input.Steps), f.Input.Len())
			}
		})
		t.Run(test.program+"_clean", func(t *testing.T) {
			for _, f := range judged(t, open(t, test.program+"_clean"), enable, execsOr(t, 200_000), false).Findings {
				t.Errorf("%s: %s", f.Oracle, f.Title)
			}
		})
	}
}

// Programs of others are not accused of what oracles that compare look for. A run of a
// fraction of what BPFFUZZ_ORACLES asks for shows that they are asked.
func TestProgramsOfOthersAreNotAccused(t *testing.T) {
	needKernel(t)
	objects, err := filepath.Glob("/usr/lib/*/bpf/*.o")
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) == 0 {
		t.Skip("no objects of libxdp and xdp-tools are installed")
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
				for _, f := range judged(t, target, enable, execsOr(t, 10_000), false).Findings {
					t.Errorf("%s: %s", f.Oracle, f.Title)
				}
			})
		}
	}
}
