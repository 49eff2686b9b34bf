package fuzztest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
)

// TestCapture: packets of a capture are seeds, of a plain go test and of the engine.
func TestCapture(t *testing.T) {
	g := newTargetsTest(t)
	packet := append(make([]byte, 14), "only in the capture"...)
	var capture strings.Builder
	if err := pcap.Write(&capture, &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}, pcap.Frames); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(g.dir, "seeds.pcap"), capture.String())
	for _, args := range [][]string{
		{"-test.run=FuzzCapture"},
		{"-test.run=^$", "-test.fuzz=FuzzCapture", "-test.fuzztime=5s", "-test.fuzzminimizetime=0s"},
	} {
		code, out := g.run(args...)
		if code != 1 {
			t.Errorf("%v: exit code %d, want 1", args, code)
		}
		g.expect(out, "the capture's packet is met")
	}
}

// TestCleanup: each of several fuzz targets is cleaned up when it is done, the one that is fuzzed
// where it was fuzzed.
func TestCleanup(t *testing.T) {
	g := newTargetsTest(t)
	code, out := g.run("-test.run=FuzzCleanup", "-test.v")
	if code != 0 || strings.Count(out, "cleaned up after calls: true") != 2 {
		t.Errorf("exit code %d, want 0 and two that are cleaned up:\n%s", code, out)
	}
	g.expect(out, "--- PASS: FuzzCleanupOne", "--- PASS: FuzzCleanupTwo")
	code, out = g.run("-test.run=FuzzCleanup", "-test.fuzz=FuzzCleanupTwo", "-test.fuzztime=1000x", "-test.v")
	if code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, out)
	}
	g.expect(out, "--- PASS: FuzzCleanupOne", "cleaned up after calls: true", "--- PASS: FuzzCleanupTwo")
}

// TestDiffGuides: each of two programs guides the fuzzer to what only it looks for.
func TestDiffGuides(t *testing.T) {
	for _, name := range []string{"FuzzDiffFirst", "FuzzDiffSecond"} {
		t.Run(name, func(t *testing.T) {
			g := newTargetsTest(t)
			code, out := g.fuzz(name, "400000x")
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			g.expect(out, "the programs return")
		})
	}
}

// goTest has go test itself build and run the fuzz targets, in the test's directory.
func (g *targetsTest) goTest(args ...string) (int, string) {
	g.t.Helper()
	args = append([]string{"test", "-exec", "env -C " + g.dir}, args...)
	cmd := exec.Command("go", append(args, "./testdata/targets", "-args", "-test.fuzzcachedir="+filepath.Join(g.dir, "cache"))...)
	cmd.Env = append(os.Environ(), g.env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		g.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestParallel: there are as many workers as go test wants.
func TestParallel(t *testing.T) {
	for _, n := range []string{"1", "3"} {
		code, out := newTargetsTest(t).fuzz("FuzzFine", "1000x", "-test.parallel="+n)
		if code != 0 || !strings.Contains(out, "now fuzzing with "+n+" workers") {
			t.Errorf("-parallel %s: exit code %d:\n%s", n, code, out)
		}
	}
}

// TestGoTest: go test understands what a fuzz target says, with -json as well.
func TestGoTest(t *testing.T) {
	g := newTargetsTest(t)
	code, out := g.goTest("-json", "-run=^$", "-fuzz=^FuzzFatal$", "-fuzztime=20s", "-v")
	if code != 1 || len(g.saved("FuzzFatal")) != 1 {
		t.Errorf("exit code %d, saved %v", code, g.saved("FuzzFatal"))
	}
	g.expect(out, "fatal B")
	var failed []string
	for line := range strings.Lines(out) {
		var event struct{ Action, Test string }
		switch err := json.Unmarshal([]byte(line), &event); {
		case strings.HasPrefix(line, "fuzz: "): // standard error
		case err != nil:
			t.Errorf("%q is no event: %v", line, err)
		case event.Action == "fail":
			failed = append(failed, event.Test)
		}
	}
	if strings.Join(failed, ",") != "FuzzFatal/,FuzzFatal," && strings.Join(failed, ",") != "FuzzFatal," {
		t.Errorf("events say that %q failed:\n%s", failed, out)
	}
}

// TestRaceBuild: a race between workers fails a test that is built with -race.
func TestRaceBuild(t *testing.T) {
	if os.Getenv("BPFFUZZ_BUILDS") == "" {
		t.Skip("builds the standard library another time: set BPFFUZZ_BUILDS=1")
	}
	g := newTargetsTest(t)
	code, out := g.goTest("-race", "-run=^$", "-fuzz=^FuzzRace$", "-fuzztime=2000x", "-parallel=2")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	g.expect(out, "WARNING: DATA RACE", "FuzzRace.func1", "--- FAIL: FuzzRace")
}
