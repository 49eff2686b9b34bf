package fuzztest_test

import (
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
