package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExports finds a bug of each kind and runs each export of the finding for real.
func TestExports(t *testing.T) {
	if !privileged() {
		t.Skip("needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	for _, test := range []struct {
		name string
		args []string // of run
		test bool     // with go test as well, whose binary takes seconds to link
	}{
		{"xdp", []string{"testdata/planted.o"}, true},
		{"xdp with contents of maps", []string{"-c", "../../examples/firewall/target.yaml"}, false},
		{"tc with a context", []string{"-c", "../../examples/egress/target.yaml"}, true},
		{"several steps", []string{"-c", "../../examples/conntrack/target.yaml"}, false},
		{"maps that inputs fill", []string{"-c", "../../examples/puzzles/session/target.yaml"}, false},
		{"chance", []string{"testdata/chance.o"}, false},
		{"a call that fails", []string{"--faults", "../../fuzz/bpf/testdata/types/faults.o"}, true},
		{"virtual time", []string{"../../examples/puzzles/timeout/timeout.o"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := find(t, test.args...)
			t.Run("bpftool", func(t *testing.T) { runShell(t, dir) })
			t.Run("libbpf", func(t *testing.T) { runC(t, dir) })
			if test.test {
				t.Run("go test", func(t *testing.T) { runGoTest(t, dir) })
			}
		})
	}
}

// find fuzzes until there is a finding and returns its directory.
func find(t *testing.T, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	args = append([]string{"run", "-o", out, "--seed", "1", "-j", "1", "--execs", "3000000", "--stop-on-finding"}, args...)
	var stdout, stderr bytes.Buffer
	if code := run(args, &stdout, &stderr); code != exitFindings {
		t.Fatalf("run ends with %d: %s", code, &stderr)
	}
	all, err := filepath.Glob(filepath.Join(out, "findings", "*"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no finding: %v, %s", err, &stderr)
	}
	t.Logf("%s", all[0])
	return all[0]
}

// fails runs a command that has to end with 1 since the program fails as found.
func fails(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
		t.Errorf("%s: %v, want exit code 1 and %q:\n%s", cmd, err, want, out)
	}
}

// needs skips where a program is missing, or where the report says why the export is.
func needs(t *testing.T, dir, export, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Exports []struct {
			File       string
			Reproduces bool
			Why        string
		}
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Exports {
		if e.File == export && !e.Reproduces {
			t.Fatalf("%s does not reproduce it: %s", export, e.Why)
		}
	}
}

func runShell(t *testing.T, dir string) {
	needs(t, dir, "repro.sh", "bpftool")
	fails(t, exec.Command("sh", filepath.Join(dir, "repro.sh")), "fails as found")
}

func runC(t *testing.T, dir string) {
	needs(t, dir, "repro.c", "gcc")
	if _, err := os.Stat("/usr/include/bpf/libbpf.h"); err != nil {
		t.Skip("libbpf-dev is not installed")
	}
	binary := filepath.Join(t.TempDir(), "repro")
	if out, err := exec.Command("gcc", "-Wall", "-Wextra", "-Werror", "-o", binary, filepath.Join(dir, "repro.c"), "-lbpf").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	cmd.Dir = dir
	fails(t, cmd, "fails as found")
}

// runGoTest builds the test as part of this module, whose dependencies are there, and
// runs it where it was written.
func runGoTest(t *testing.T, dir string) {
	needs(t, dir, "repro_test.go", "go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {abs(t, "testdata/repro/repro_test.go"): filepath.Join(dir, "repro_test.go")}})
	if err != nil {
		t.Fatal(err)
	}
	file, binary := filepath.Join(t.TempDir(), "overlay.json"), filepath.Join(t.TempDir(), "repro.test")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "test", "-c", "-vet=off", "-tags", "repro", "-overlay", file, "-o", binary, "./testdata/repro")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	cmd.Dir = dir
	fails(t, cmd, "--- FAIL: FuzzRepro")
}

// TestExportBesideRejected: what loads all programs of an object says which of them the
// kernel does not accept; what loads one reproduces the finding.
func TestExportBesideRejected(t *testing.T) {
	if !privileged() {
		t.Skip("needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	dir := find(t, "-p", "fine", "../../fuzz/bpf/testdata/siblings.o")
	b, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `bpftool loads every program of the object, and this kernel does not accept program "unchecked"`; !strings.Contains(string(b), want) {
		t.Errorf("the report does not say that %s:\n%s", want, b)
	}
	runC(t, dir)
}

// TestExportOfSlow: the test that comes with a slow packet has the budget.
func TestExportOfSlow(t *testing.T) {
	if !privileged() {
		t.Skip("needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	runGoTest(t, find(t, "-p", "slow", "--max-insns", "1000", "../../fuzz/bpf/testdata/oracles_slow.o"))
}
