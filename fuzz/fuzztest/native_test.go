package fuzztest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
)

// buildInstrumented builds testdata/targets once, as go test -fuzz does.
var buildInstrumented = sync.OnceValues(func() (string, error) {
	binary, err := buildTargets() // whose directory is removed in the end
	if err != nil {
		return "", err
	}
	binary = filepath.Join(filepath.Dir(binary), "instrumented.test")
	out, err := exec.Command("go", "test", "-c", "-fuzz=Fuzz", "-o", binary, "./testdata/targets").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return binary, nil
})

func newNativeTest(t *testing.T) *targetsTest {
	g := newTargetsTest(t)
	var err error
	if g.binary, err = buildInstrumented(); err != nil {
		t.Fatal(err)
	}
	return g
}

var execsSaid = regexp.MustCompile(`execs: (\d+) `)

// executions returns how many a run says that it made.
func executions(t *testing.T, out string) int {
	t.Helper()
	said := execsSaid.FindAllStringSubmatch(out, -1)
	if len(said) == 0 {
		t.Fatalf("no number of executions in:\n%s", out)
	}
	n, err := strconv.Atoi(said[len(said)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNativeBridge: with the bridge Go's engine finds three bytes that are compared one
// after the other, without it it does not in as many executions.
func TestNativeBridge(t *testing.T) {
	t.Parallel()
	g := newNativeTest(t)
	code, out := g.fuzz("FuzzNative", "1000000x", "-test.fuzzminimizetime=1x")
	if code != 1 {
		t.Fatalf("exit code %d, want 1:\n%s", code, out)
	}
	g.expect(out, "the magic is met", "program magic (xdp)", "packet in", "step 0: XDP_TX", "go test -run=FuzzNative/")
	saved := g.saved("FuzzNative")
	if len(saved) != 1 {
		t.Fatalf("%d files saved, want 1", len(saved))
	}
	// What Go's engine saved fails again, with nothing of it running.
	code, replay := g.run("-test.run=FuzzNative/" + filepath.Base(saved[0]))
	if code != 1 || !strings.Contains(replay, "the magic is met") {
		t.Errorf("run again it exits with %d, want 1:\n%s", code, replay)
	}

	off := newNativeTest(t)
	off.env = []string{fuzztest.Bridge + "=off"}
	code, out = off.fuzz("FuzzNative", fmt.Sprintf("%dx", max(executions(t, out), 10_000)), "-test.fuzzminimizetime=1x")
	if code != 0 {
		t.Errorf("without the bridge: exit code %d, want 0:\n%s", code, out)
	}
}

// TestNativeCalls: native mode works where the engine's memory is not known. That both
// ways show the same is what the counters' own tests say.
func TestNativeCalls(t *testing.T) {
	t.Parallel()
	g := newNativeTest(t)
	g.env = []string{fuzztest.Bridge + "=calls"}
	code, out := g.fuzz("FuzzNativeDiff", "1000000x", "-test.fuzzminimizetime=1x")
	if code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, out)
	}
	g.expect(out, "the programs return")
}

// TestNativeRefused: a wrong value of the variable is an error, not a slow run.
func TestNativeRefused(t *testing.T) {
	g := newNativeTest(t)
	g.env = []string{fuzztest.Bridge + "=yes"}
	code, out := g.fuzz("FuzzNative", "10x")
	if code == 0 {
		t.Fatalf("exit code 0:\n%s", out)
	}
	g.expect(out, fuzztest.Bridge, `"yes" is neither calls nor off`)
}

// TestNativeInputs: contexts, several steps, tables and pairs of programs, maps, and state
// that cannot be put back.
func TestNativeInputs(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"FuzzNativeSteps", "the second packet is met"},
		{"FuzzNativeContext", "the mark is met"},
		{"FuzzNativeTable", "the other program"},
		{"FuzzNativeDiff", "the programs return"},
		{"FuzzNativeMaps", "the map says so"},
		{"FuzzNativeOracle", "verdict"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newNativeTest(t)
			code, out := g.fuzz(test.name, "200000x", "-test.fuzzminimizetime=10x", "-test.parallel=1")
			if code != 1 {
				t.Fatalf("exit code %d, want 1:\n%s", code, out)
			}
			g.expect(out, test.want)
			code, out = g.run("-test.run=" + test.name)
			if code != 1 {
				t.Fatalf("run again: exit code %d, want 1:\n%s", code, out)
			}
			g.expect(out, test.want)
		})
	}
}

// TestNativeSeed: a built-in seed that fails has the same name in a plain go test, where
// it can be run again.
func TestNativeSeed(t *testing.T) {
	g := newNativeTest(t)
	code, out := g.fuzz("FuzzNativeSeed", "100x")
	name := regexp.MustCompile(`FuzzNativeSeed/seed#\d+`).FindString(out)
	if code != 1 || name == "" {
		t.Fatalf("exit code %d, seed %q:\n%s", code, name, out)
	}
	code, out = g.run("-test.run=" + name + "$")
	if code != 1 {
		t.Errorf("run again: exit code %d, want 1", code)
	}
	g.expect(out, "--- FAIL: "+name, "a long packet")
}

// TestNativeInterrupted: an interrupt ends a run in order.
func TestNativeInterrupted(t *testing.T) {
	g := newNativeTest(t)
	out := g.interrupt("now fuzzing", "-test.run=^$", "-test.fuzz=^FuzzNativeKeys$", "-test.fuzzminimizetime=1x")
	g.expect(out, "PASS")
}

// TestNativeBadCorpus: files that are no inputs fail the test, named, and stay as they are.
func TestNativeBadCorpus(t *testing.T) {
	for name, contents := range map[string]string{
		"corrupt":    "go test fuzz v1\n[]byte(\"",
		"wrong type": "go test fuzz v1\nstring(\"x\")\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newNativeTest(t)
			path := filepath.Join(g.dir, "testdata/fuzz/FuzzNativeKeys/0123456789abcdef")
			write(t, path, contents)
			for _, args := range [][]string{{"-test.run=FuzzNativeKeys"}, {"-test.run=^$", "-test.fuzz=FuzzNativeKeys", "-test.fuzztime=10x"}} {
				code, out := g.run(args...)
				if code == 0 || !strings.Contains(out, "0123456789abcdef") {
					t.Errorf("%v: exit code %d:\n%s", args, code, out)
				}
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != contents {
				t.Errorf("the file has become %q, error %v", left, err)
			}
		})
	}
}

// TestNativeEnds: a function that ends the process is reported as Go's engine does, and
// the input is saved.
func TestNativeEnds(t *testing.T) {
	for name, want := range map[string]string{
		"FuzzNativePanic": "an own panic",
		"FuzzNativeExit":  "fuzzing process hung or terminated unexpectedly: exit status 3",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newNativeTest(t)
			// Without minimisation: where it is the one that comes across the failing input,
			// Go's engine saves what it was minimising, which may not fail.
			code, out := g.fuzz(name, "200000x", "-test.fuzzminimizetime=0s", "-test.parallel=1")
			if code != 1 {
				t.Fatalf("exit code %d, want 1:\n%s", code, out)
			}
			g.expect(out, want, "go test -run="+name+"/")
			if saved := g.saved(name); len(saved) != 1 {
				t.Errorf("%d files saved, want 1", len(saved))
			}
			if code, out := g.run("-test.run=" + name); code == 0 {
				t.Errorf("run again it passes:\n%s", out)
			}
		})
	}
}

// TestNativeFine: what only earlier inputs left behind is no failure, nor are keys that a
// map does not have.
func TestNativeFine(t *testing.T) {
	for _, name := range []string{"FuzzNativeLasting", "FuzzNativeKeys"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newNativeTest(t)
			code, out := g.fuzz(name, "300x", "-test.fuzzminimizetime=1x", "-test.parallel=1")
			if code != 0 {
				t.Errorf("exit code %d, want 0:\n%s", code, out)
			}
		})
	}
}

// TestCounterBuilds: the counters are found however a test is built for fuzzing.
func TestCounterBuilds(t *testing.T) {
	builds := []struct {
		name   string
		flags  []string
		expect string
	}{
		{"plain", nil, ""},
		{"fuzz", []string{"-fuzz=Fuzz"}, "memory"},
		{"portable", []string{"-fuzz=Fuzz", "-tags=bpffuzz_portable"}, "calls"},
		{"pie", []string{"-fuzz=Fuzz", "-buildmode=pie"}, "memory"},
		{"race", []string{"-fuzz=Fuzz", "-race"}, "memory"},
	}
	for _, build := range builds {
		t.Run(build.name, func(t *testing.T) {
			if os.Getenv("BPFFUZZ_BUILDS") == "" && (build.name == "pie" || build.name == "race") {
				t.Skip("builds the standard library another time: set BPFFUZZ_BUILDS=1")
			}
			binary := filepath.Join(t.TempDir(), "counters.test")
			args := append([]string{"test", "-c", "-o", binary}, build.flags...)
			if out, err := exec.Command("go", append(args, "./internal/counters")...).CombinedOutput(); err != nil {
				t.Fatalf("building: %v\n%s", err, out)
			}
			cmd := exec.Command(binary)
			cmd.Env = append(os.Environ(), "COUNTERS_EXPECT="+build.expect)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
