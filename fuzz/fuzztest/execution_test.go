package fuzztest

import (
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func testCall(fn Func) *call {
	x := &execution{}
	shape := &corpus.Shape{
		Program: "look", Type: "xdp", MaxSteps: 2, ContextSize: 8,
		Packet: corpus.Bounds{Max: 100}, Verdicts: []corpus.Verdict{{Value: 2, Name: "XDP_PASS"}},
		Context: []corpus.Field{{Name: "mark", Offset: 4, Size: 4, Big: true}},
		Output:  []corpus.Field{{Name: "mark", Offset: 4, Size: 4, Big: true}},
	}
	c := &call{judged: &judged{fn: fn}, x: x, flight: &flight{mem: make([]byte, 1024)}}
	c.t = T{TB: x, shape: shape, require: c.require}
	return c
}

func testRun() (*corpus.Input, *corpus.Outcome) {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: []byte("packet"), Context: []byte{0, 0, 0, 0, 0, 0, 0, 7}}}}
	out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{{Ret: 2, Packet: []byte("packet")}}}
	return in, out
}

// TestNothingAllocates: an execution that passes, or is skipped, costs no memory.
func TestNothingAllocates(t *testing.T) {
	for name, fn := range map[string]Func{
		"passes": func(t *T, in *corpus.Input, out *corpus.Outcome) {
			t.Helper()
			if t.Verdict(0) != "XDP_PASS" || t.Given(0, "mark") != 7 || len(in.Steps[0].Packet) != 6 || t.Failed() {
				t.Errorf("%q", out.Steps[0].Packet)
			}
		},
		"skips": func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Skip() },
	} {
		c := testCall(fn)
		in, out := testRun()
		if err := c.do(in, out, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = c.do(in, out, nil) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestReports(t *testing.T) {
	for _, test := range []struct {
		name string
		fn   Func
		want string // a part of the failure; "" for none
	}{
		{"error", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Error("a", 1) }, "execution_test.go:57: a 1"},
		{"lines", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Error("a\nb") }, "a\n    b"},
		{"log alone", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Log("a") }, ""},
		{"skip after", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Error("a"); t.SkipNow() }, "a"},
		{"fail now", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.FailNow() }, "\x00"},
		{"fatal stops", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Fatal("a"); t.Error("no") }, "a"},
		{"panic", func(*T, *corpus.Input, *corpus.Outcome) { _ = make([]int, 1)[len("three")] }, "panic: runtime error: index out of range [5] with length 1\n"},
		{"cleanup", func(t *T, _ *corpus.Input, _ *corpus.Outcome) {
			t.Cleanup(func() { t.Error("first") })
			t.Cleanup(func() { panic("second") })
		}, "panic: second"},
		{"both cleanups", func(t *T, _ *corpus.Input, _ *corpus.Outcome) {
			t.Cleanup(func() { t.Error("first") })
			t.Cleanup(func() { panic("second") })
		}, ": first"},
		{"setenv", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Setenv("A", "b") }, "f.Setenv"},
		{"unknown field", func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Given(0, "cb[0]") }, `programs of type xdp take no context field "cb[0]"`},
		{"no such step", func(t *T, _ *corpus.Input, _ *corpus.Outcome) {
			if t.Verdict(1) != "" || t.Verdict(-1) != "" || t.Given(1, "mark") != 0 {
				t.Error("a step that is not there has something")
			}
		}, ""},
		{"context ends", func(t *T, _ *corpus.Input, _ *corpus.Outcome) {
			ctx := t.Context()
			t.Cleanup(func() {
				if ctx.Err() == nil {
					t.Error("the context goes on")
				}
			})
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := testCall(test.fn)
			in, out := testRun()
			for range 2 { // the second execution starts afresh
				err := c.do(in, out, nil)
				switch {
				case test.want == "" && err != nil:
					t.Fatalf("failed: %v", err)
				case test.want != "" && err == nil:
					t.Fatal("did not fail")
				case err != nil && test.want != "\x00" && !strings.Contains(err.Error(), test.want):
					t.Fatalf("%q, want one with %q", err, test.want)
				}
			}
			if c.flight.pending() != nil {
				t.Error("an input is pending")
			}
		})
	}
}

// TestRequire: what is not recorded ends the execution, and is recorded from then on.
func TestRequire(t *testing.T) {
	c := testCall(func(t *T, _ *corpus.Input, _ *corpus.Outcome) { t.Errorf("mark %d", t.Field(0, "mark")) })
	in, out := testRun()
	if err := c.do(in, out, nil); err != nil || corpus.Have(c.judged.need.Load()) != corpus.HaveContext {
		t.Fatalf("error %v, needed is %b", err, c.judged.need.Load())
	}
	out.Have |= corpus.HaveContext
	out.Steps[0].Context = []byte{0, 0, 0, 0, 0, 0, 1, 0}
	if err := c.do(in, out, nil); err == nil || !strings.Contains(err.Error(), "mark 256") {
		t.Errorf("error %v", err)
	}
}

// TestFuncGetsACopy: what a function changes or keeps is not the engine's.
func TestFuncGetsACopy(t *testing.T) {
	var kept *corpus.Input
	c := testCall(func(_ *T, in *corpus.Input, _ *corpus.Outcome) {
		kept = in
		in.Steps[0].Packet[0] = 'P'
	})
	in, out := testRun()
	if err := c.do(in, out, nil); err != nil {
		t.Fatal(err)
	}
	if string(in.Steps[0].Packet) != "packet" || string(kept.Steps[0].Packet) != "Packet" {
		t.Errorf("%q and %q", in.Steps[0].Packet, kept.Steps[0].Packet)
	}
}

func TestFlight(t *testing.T) {
	var f *flight
	in, out := testRun()
	f.begin(in) // nowhere
	f.end()
	c := testCall(nil)
	c.judged.fn = func(*T, *corpus.Input, *corpus.Outcome) {
		if got := c.flight.pending(); got == nil || !got.Equal(in) {
			t.Errorf("pending is %+v", got)
		}
	}
	if err := c.do(in, out, nil); err != nil {
		t.Fatal(err)
	}
	in.Steps[0].Packet = make([]byte, 2000) // more than there is room for
	if c.flight.begin(in); c.flight.pending() != nil {
		t.Error("an input that does not fit is pending")
	}
}

// TestFlightHasRoom: the largest input that obeys a shape fits, entries of maps included.
func TestFlightHasRoom(t *testing.T) {
	shape := &corpus.Shape{
		Packet: corpus.Bounds{Max: 100}, ContextSize: 20, MaxSteps: 2,
		Maps: []corpus.MapShape{{Name: "small", KeySize: 4, ValueSize: 4}, {Name: "large", KeySize: 16, ValueSize: 100}},
	}
	step := corpus.Step{Packet: make([]byte, 100), Context: make([]byte, 20), Chance: make([]byte, chanceRoom)}
	in := &corpus.Input{Steps: []corpus.Step{step, step}}
	for range corpus.MaxMapEntries {
		in.Maps = append(in.Maps, corpus.MapEntry{Map: "large", Key: make([]byte, 16), Value: make([]byte, 100)})
	}
	if got, room := len(corpus.Encode(in)), encodedRoom(shape); got > room {
		t.Errorf("%d bytes, and room for %d", got, room)
	}
}
