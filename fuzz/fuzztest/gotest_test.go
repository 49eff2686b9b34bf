package fuzztest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// buildTargets builds testdata/targets once, as go test does.
var buildTargets = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fuzztest-*")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "targets.test")
	out, err := exec.Command("go", "test", "-c", "-o", binary, "./testdata/targets").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, err := buildTargets(); err == nil {
		os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

func needsPrivileges(t *testing.T) {
	t.Helper()
	for _, c := range bpf.Capabilities() {
		if !c.Have {
			t.Skipf("running BPF programs needs %s", c.Name)
		}
	}
}

// targetsTest is the test binary in a directory of its own.
type targetsTest struct {
	t      *testing.T
	dir    string
	binary string
	env    []string
}

func newTargetsTest(t *testing.T) *targetsTest {
	needsPrivileges(t)
	binary, err := buildTargets()
	if err != nil {
		t.Fatal(err)
	}
	return &targetsTest{t: t, dir: t.TempDir(), binary: binary}
}

func (g *targetsTest) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.binary, append([]string{"-test.paniconexit0", "-test.timeout=1m", "-test.fuzzcachedir=" + filepath.Join(g.dir, "cache")}, args...)...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), g.env...)
	return cmd
}

// fuzz fuzzes a target for at most so long and returns the exit code and what was said.
// It minimises for 3 s where more does not say otherwise: Go does not let a flag that
// has been set become 0.
func (g *targetsTest) fuzz(name, fuzztime string, more ...string) (int, string) {
	g.t.Helper()
	args := []string{"-test.run=^$", "-test.fuzz=^" + name + "$", "-test.fuzztime=" + fuzztime}
	if !slices.ContainsFunc(more, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzzminimizetime=") }) {
		args = append(args, "-test.fuzzminimizetime=3s")
	}
	return g.run(append(args, more...)...)
}

func (g *targetsTest) run(args ...string) (int, string) {
	g.t.Helper()
	out, err := g.command(args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, string(out)
	case errors.As(err, &exit):
		return exit.ExitCode(), string(out)
	}
	g.t.Fatal(err)
	return 0, ""
}

// saved returns the files of a target in testdata/fuzz.
func (g *targetsTest) saved(name string) []string {
	files, err := filepath.Glob(filepath.Join(g.dir, "testdata/fuzz", name, "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	return files
}

func (g *targetsTest) expect(out string, wanted ...string) {
	g.t.Helper()
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			g.t.Errorf("the output has no %q:\n%s", want, out)
		}
	}
}

// at returns where a text is in the fuzz targets for the first time.
func at(t *testing.T, text string) string {
	t.Helper()
	source, err := os.ReadFile("testdata/targets/targets_test.go")
	before, _, found := strings.Cut(string(source), text)
	if err != nil || !found {
		t.Fatalf("looking for %q in the fuzz targets: error %v", text, err)
	}
	return fmt.Sprintf("targets_test.go:%d", 1+strings.Count(before, "\n"))
}

// TestFailing: whatever a function does, it is reported as Go reports it, the input is
// saved, and fails again in a plain go test.
func TestFailing(t *testing.T) {
	for _, test := range []struct {
		name   string
		want   []string
		replay string // what a plain go test says
	}{
		{"FuzzError", []string{at(t, "t.Logf(") + ": 15 bytes", at(t, "the B is met") + ": the B is met", "packet in", "15 bytes"}, "the B is met"},
		{"FuzzFatal", []string{at(t, "helper(t)") + ": fatal B"}, "fatal B"},
		{"FuzzPanic", []string{"panic: an own panic", at(t, "an own panic")}, "panic: an own panic"},
		{"FuzzExit", []string{"fuzzing process hung or terminated unexpectedly: exit status 3"}, ""},
		{"FuzzExit0", []string{"panic: unexpected call to os.Exit(0) during test"}, "unexpected call to os.Exit(0)"},
		{"FuzzGoroutinePanic", []string{"panic: in a goroutine", "fuzzing process hung or terminated unexpectedly: exit status 2"}, "panic: in a goroutine"},
		{"FuzzMaps", []string{"the M was counted", "one BPF_PROG_RUN call for each execution"}, "the M was counted"},
		{"FuzzOutcomeMaps", []string{"the M was counted, error <nil>", "one BPF_PROG_RUN call for each execution"}, "the M was counted"},
		{"FuzzContext", []string{"the packet ends at 77", "one BPF_PROG_RUN call for each execution"}, "the packet ends at 77"},
		{"FuzzUnknownMap", []string{`looking up in map "byte"`}, `looking up in map "byte"`},
		{"FuzzTable", []string{"the other one"}, "/other"},
		{"FuzzDiff", []string{"step 0: the programs return 3 (XDP_TX) and 2 (XDP_PASS)"}, "the programs return 3 (XDP_TX) and 2 (XDP_PASS)"},
		{"FuzzOperator", []string{"magic"}, "magic"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newTargetsTest(t)
			args := []string{"-test.run=^$", "-test.fuzz=^" + test.name + "$", "-test.fuzzminimizetime=3s"}
			if test.name != "FuzzTable" { // whose programs take turns until one of them fails
				args = append(args, "-test.fuzztime=40s")
			}
			code, out := g.run(args...)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			g.expect(out, append(test.want, "--- FAIL: "+test.name, "To re-run:\n")...)
			files := g.saved(test.name)
			if len(files) != 1 {
				t.Fatalf("saved are %v:\n%s", files, out)
			}
			rerun := test.name + "/" + filepath.Base(files[0])
			g.expect(out, "Failing input written to testdata/fuzz/"+rerun, "go test -run="+rerun+"\n")
			if contents, err := os.ReadFile(files[0]); err != nil || corpus.FileName(contents) != filepath.Base(files[0]) {
				t.Errorf("%s has not the hash of its contents, error %v", files[0], err)
			}
			code, out = g.run("-test.run=" + rerun)
			if code == 0 {
				t.Errorf("passes when it is run again:\n%s", out)
			}
			g.expect(out, test.replay)
		})
	}
}

// TestPassing: nothing is wrong, and nothing is saved.
func TestPassing(t *testing.T) {
	for _, test := range []struct{ name, fuzztime, want string }{
		{"FuzzFine", "2s", "new interesting: "},
		{"FuzzFine", "20000x", "execs: 2"},
		{"FuzzChecked", "20000x", "claims about numbers that every run has to satisfy, "},
		{"FuzzSkip", "1s", "PASS"},
		{"FuzzDiffSame", "1s", "PASS"},
		{"FuzzSleep", "2s", "PASS"},
		{"FuzzLate", "2s", "PASS"},
	} {
		t.Run(test.name+" "+test.fuzztime, func(t *testing.T) {
			t.Parallel()
			g := newTargetsTest(t)
			started := time.Now()
			code, out := g.fuzz(test.name, test.fuzztime)
			if code != 0 || len(g.saved(test.name)) > 0 {
				t.Errorf("exit code %d, saved %v:\n%s", code, g.saved(test.name), out)
			}
			g.expect(out, test.want)
			t.Logf("took %s", time.Since(started))
		})
	}
}

// TestFailingSeed: a seed that fails is named, and not saved a second time.
func TestFailingSeed(t *testing.T) {
	g := newTargetsTest(t)
	for _, args := range [][]string{{"-test.run=FuzzSeed"}, {"-test.run=^$", "-test.fuzz=FuzzSeed", "-test.fuzztime=5s"}} {
		code, out := g.run(args...)
		if code != 1 || len(g.saved("FuzzSeed")) > 0 {
			t.Errorf("%v: exit code %d:\n%s", args, code, out)
		}
		g.expect(out, "FuzzSeed/seed#0", "a B in 2 steps", "packet in")
	}
}

// TestBadCorpus: files that are no inputs fail the test, named, and stay as they are.
func TestBadCorpus(t *testing.T) {
	for name, contents := range map[string]string{
		"corrupt":    "go test fuzz v1\n[]byte(\"",
		"truncated":  "go te",
		"empty":      "",
		"wrong type": "go test fuzz v1\nstring(\"x\")\n",
		"two values": "go test fuzz v1\n[]byte(\"x\")\n[]byte(\"x\")\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newTargetsTest(t)
			path := filepath.Join(g.dir, "testdata/fuzz/FuzzFine/0123456789abcdef")
			write(t, path, contents)
			cached := filepath.Join(g.dir, "cache/FuzzFine/0123456789abcdef")
			write(t, cached, contents)
			for _, args := range [][]string{{"-test.run=FuzzFine"}, {"-test.run=^$", "-test.fuzz=FuzzFine", "-test.fuzztime=1s"}} {
				code, out := g.run(args...)
				if code != 1 || !strings.Contains(out, "0123456789abcdef") {
					t.Errorf("%v: exit code %d:\n%s", args, code, out)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if code, out := g.fuzz("FuzzFine", "1000x"); code != 0 || !strings.Contains(out, "1 files of the fuzz cache") {
				t.Errorf("with the file in the cache: exit code %d:\n%s", code, out)
			}
			if left, err := os.ReadFile(cached); err != nil || string(left) != contents {
				t.Errorf("the cached file has become %q, error %v", left, err)
			}
		})
	}
}

func write(t *testing.T, path, contents string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWrongSeed: f.Add of something else is refused with what to do.
func TestWrongSeed(t *testing.T) {
	g := newTargetsTest(t)
	for _, args := range [][]string{{"-test.run=FuzzWrongSeed"}, {"-test.run=^$", "-test.fuzz=FuzzWrongSeed", "-test.fuzztime=1s"}} {
		if code, out := g.run(args...); code != 1 {
			t.Errorf("%v: exit code %d:\n%s", args, code, out)
		}
	}
}

// TestChangedObject: inputs that the program does not take any more are left out and
// stay where they are.
func TestChangedObject(t *testing.T) {
	g := newTargetsTest(t)
	in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 100_000)}}}
	path := filepath.Join(g.dir, "testdata/fuzz/FuzzFine/big")
	write(t, path, string(corpus.MarshalFile(in)))
	code, out := g.run("-test.run=FuzzFine", "-test.v")
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	g.expect(out, "does not take this input any more", "--- SKIP: FuzzFine/big")
	code, out = g.fuzz("FuzzFine", "1000x")
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	g.expect(out, "1 saved inputs are left out")
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestMissing: an object that is not there is an error, not a reason to skip.
func TestMissing(t *testing.T) {
	g := newTargetsTest(t)
	for _, args := range [][]string{{"-test.run=FuzzNoObject"}, {"-test.run=^$", "-test.fuzz=FuzzNoObject"}} {
		code, out := g.run(args...)
		if code != 1 {
			t.Errorf("%v: exit code %d:\n%s", args, code, out)
		}
		g.expect(out, "opening object: open missing.o: no such file or directory")
	}
}

// TestUnprivileged: a plain go test skips and says what is missing, unless it is told
// that nothing may be missing.
func TestUnprivileged(t *testing.T) {
	g := newTargetsTest(t)
	for _, test := range []struct {
		require string
		args    []string
		code    int
		want    string
	}{
		{"", []string{"-test.v", "-test.run=FuzzFine"}, 0, "--- SKIP: FuzzFine"},
		{"1", []string{"-test.v", "-test.run=FuzzFine"}, 1, "BPFFUZZ_REQUIRE is set"},
		{"", []string{"-test.run=^$", "-test.fuzz=FuzzFine", "-test.fuzztime=1s"}, 1, "cannot fuzz"},
	} {
		cmd := g.command(test.args...)
		cmd.Env = append(cmd.Env, "BPFFUZZ_REQUIRE="+test.require)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for dir := g.binary; dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd.Dir = os.TempDir()
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%v: exit code %d:\n%s", test, code, out)
		}
		g.expect(string(out), test.want, "CAP_BPF")
	}
}

// TestInterrupted: an interrupt ends a run in order, and what was found is there.
func TestInterrupted(t *testing.T) {
	g := newTargetsTest(t)
	out := g.interrupt("now fuzzing", "-test.run=^$", "-test.fuzz=FuzzFine")
	g.expect(out, "PASS")
	if cached, _ := filepath.Glob(filepath.Join(g.dir, "cache/FuzzFine/*")); len(cached) == 0 {
		t.Errorf("nothing is in the cache:\n%s", out)
	}
}

// interrupt runs the binary, interrupts it and its children, as a terminal does, when it
// has said a text, and returns all that it says. It has to pass.
func (g *targetsTest) interrupt(when string, args ...string) string {
	g.t.Helper()
	cmd := g.command(args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, written, err := os.Pipe()
	if err != nil {
		g.t.Fatal(err)
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = written, written
	err = errors.Join(cmd.Start(), written.Close())
	if err != nil {
		g.t.Fatal(err)
	}
	var said bytes.Buffer
	buffer := make([]byte, 4096)
	for interrupted := false; err == nil; {
		var n int
		n, err = read.Read(buffer)
		said.Write(buffer[:n])
		if !interrupted && strings.Contains(said.String(), when) {
			interrupted = true
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		g.t.Errorf("%v: %s", err, &said)
	}
	return said.String()
}
