package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Each example's planted bug is found from an empty corpus, by the oracle that its
// README names, and the finding replays.
func TestExamplesAreFound(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	examples := []struct {
		name, oracle string
		execs        int // several times what the bug takes with most seeds
		steps        int // that the bug needs at least
	}{
		{"firewall", "invariant-only-offered-services", 5_000_000, 1},
		{"balancer", "checksum-broken", 8_000_000, 1},
		{"egress", "invariant-only-the-host-is-not-policed", 8_000_000, 1},
		{"conntrack", "invariant-nobody-connects-from-outside", 8_000_000, 2},
		{"gate", "invariant-only-own-networks", 1_000_000, 1},
	}
	dirs, err := filepath.Glob("../../examples/*/target.yaml")
	if err != nil || len(dirs) != len(examples) {
		t.Fatalf("%d examples with target files, %d are tested: %v", len(dirs), len(examples), err)
	}
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			dir, target := t.TempDir(), abs(t, filepath.Join("../../examples", e.name, "target.yaml"))
			r := start(t, dir, "bpffuzz", "run", "-c", target, "-o", "out", "-j", "1", "--seed", "1",
				"--execs", fmt.Sprint(e.execs), "--stop-on-finding", "--json")
			if code := r.end().ExitCode(); code != exitFindings {
				t.Fatalf("exit code %d, want %d", code, exitFindings)
			}
			var s summary
			if err := json.Unmarshal([]byte(r.stdout.String()), &s); err != nil {
				t.Fatal(err)
			}
			if len(s.Findings) != 1 || s.Findings[0].Kind != e.oracle {
				t.Fatalf("findings %+v, want one of %s", s.Findings, e.oracle)
			}
			t.Logf("found after %d executions", s.Execs)
			checkReplay(t, dir, target, s.Findings[0], e.steps)
		})
	}
}

// checkReplay replays a finding: the same oracle objects, and no other.
func checkReplay(t *testing.T, dir, target string, f summaryFinding, steps int) {
	t.Helper()
	r := start(t, dir, "bpffuzz", "replay", "-c", target, "--repeat", "10", "--json", f.Path)
	if code := r.end().ExitCode(); code != exitFindings {
		t.Fatalf("the replay ends with exit code %d, want %d", code, exitFindings)
	}
	var result struct{ Inputs []replayed }
	if err := json.Unmarshal([]byte(r.stdout.String()), &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Inputs) != 1 || len(result.Inputs[0].Steps) < steps {
		t.Fatalf("replayed %+v, want one input of at least %d steps", result.Inputs, steps)
	}
	for _, o := range result.Inputs[0].Oracles {
		if want := o.Name == f.Kind; want != (o.Failing == 10) || !want && o.Failing > 0 {
			t.Errorf("oracle %s objects in %d of 10 runs", o.Name, o.Failing)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, f.Path, "report.txt")); err != nil {
		t.Error(err)
	}
}
