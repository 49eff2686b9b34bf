package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInit: what init writes into a module of somebody else's compiles, and is fuzzed
// by go test -fuzz as it is.
func TestInit(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	user := filepath.Join(dir, "edge")
	copyTo(t, filepath.Join(root, "examples/balancer/balancer.o"), filepath.Join(user, "lb.o"))
	copyTo(t, filepath.Join(root, "go.sum"), filepath.Join(dir, "go.sum"))
	requirements, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	// The requirements are those of this module, so that nothing has to be looked up.
	text := strings.Replace(string(requirements), "module "+module, "module example.org/user", 1) +
		"\nrequire " + module + " v0.0.0\nreplace " + module + " => " + root + "\n"
	writeText(t, filepath.Join(dir, "go.mod"), text)
	writeText(t, filepath.Join(user, "edge.go"), "package edge\n")
	writeText(t, filepath.Join(user, "lb.bpf.c"), "int x;\n")

	var said bytes.Buffer
	u := &ui{stdout: &said, stderr: &said}
	if err := (&initFlags{}).run(u, filepath.Join(user, "lb.o")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"balancer.yaml written", "balancer_fuzz_test.go written", "//go:build ignore", "-fuzz FuzzBalancer"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("init does not say %q:\n%s", want, &said)
		}
	}
	if err := (&initFlags{}).run(u, filepath.Join(user, "lb.o")); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second time: error %v", err)
	}
	if err := os.Remove(filepath.Join(user, "lb.bpf.c")); err != nil {
		t.Fatal(err)
	}
	goTool(t, user, "vet", ".")
	if !privileged() {
		return // the rest needs the kernel
	}
	out := goTool(t, user, "test", "-run", "^$", "-fuzz", "FuzzBalancer", "-fuzztime", "2000x", "-fuzzminimizetime", "0")
	if !strings.Contains(out, "now fuzzing with") || !strings.Contains(out, "ok  \texample.org/user/edge") {
		t.Errorf("go test -fuzz says\n%s", out)
	}
}

func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, to, string(text))
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestScaffoldNames(t *testing.T) {
	for program, want := range map[string]string{
		"xdp_firewall": "FuzzXdpFirewall", "lb": "FuzzLb", "a.b-c": "FuzzABC", "_x": "FuzzX", "tc2": "FuzzTc2",
	} {
		if got := (&scaffold{program: program}).funcName(); got != want {
			t.Errorf("%s: %s, want %s", program, got, want)
		}
	}
	for dir, want := range map[string]string{"fire-wall": "firewall_test", "9": "fuzz_test", "2go": "fuzz_test", "func": "fuzz_test", "Edge": "edge_test"} {
		if got := (&scaffold{dir: filepath.Join(t.TempDir(), dir)}).packageName(); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}
