package triage

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// busy executes ten instructions for each byte that is 0x42 in the first 64, one for each byte.
func busy(step *corpus.Step, _ []byte, _ map[string]int) corpus.StepOutcome {
	head := step.Packet[:min(len(step.Packet), 64)]
	return corpus.StepOutcome{Ret: 2, Duration: 70, Insns: uint64(10*bytes.Count(head, []byte{0x42}) + len(head))}
}

func slowJudge(t *testing.T, budget uint64) *Judge {
	t.Helper()
	shape := xdpShape()
	shape.Counted = true
	oracles, relations, err := Oracles(shape, OracleOptions{MaxInsns: budget})
	if err != nil {
		t.Fatal(err)
	}
	return NewJudge(oracles, relations)
}

// TestSlowest: the finding is the slowest input nearby, and no byte of it is there in vain.
func TestSlowest(t *testing.T) {
	packet := append(make([]byte, 20), 0x41, 0x41, 0x43, 0x42, 0x42)
	in := &corpus.Input{Steps: []corpus.Step{{Packet: packet}, {Packet: make([]byte, 14)}}}
	find := func() *Finding {
		f, err := Investigate(t.Context(), rerun(busy), slowJudge(t, 40), in, Options{Table: testTable(), Shape: xdpShape()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := find()
	if f.Oracle != Slow || len(f.Input.Steps) != 1 {
		t.Fatalf("oracle %s, %d steps", f.Oracle, len(f.Input.Steps))
	}
	// Whatever the last bytes of the first packet are can be made 0x42 one step at a time.
	if got := f.Input.Steps[0].Packet; bytes.Count(got, []byte{0x42}) < 50 || len(got) != 64 {
		t.Errorf("the slowest packet is %x", got)
	}
	if !strings.Contains(strings.Join(f.Notes, "\n"), "it took 70 ns") {
		t.Errorf("notes are %q", f.Notes)
	}
	if again := find(); !again.Input.Equal(f.Input) || again.Key != f.Key {
		t.Errorf("another time it is %x", again.Input.Steps[0].Packet)
	}
}

func TestBudgetIsAllowed(t *testing.T) {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 40)}}}
	for budget, fails := range map[uint64]bool{39: true, 40: false} {
		f, err := slowJudge(t, budget).Sampled(t.Context(), rerun(busy), in)
		if err != nil || (f != nil) != fails {
			t.Errorf("budget %d: %v, error %v", budget, f, err)
		}
	}
}

// TestClimbingEnds: with its context, and with what was found so far.
func TestClimbingEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	counting := func(c context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
		if runs++; runs == 40 {
			cancel()
		}
		return rerun(busy)(context.WithoutCancel(c), in, want)
	}
	in := &corpus.Input{Steps: []corpus.Step{{Packet: bytes.Repeat([]byte{0x42}, 30)}}}
	f, err := Investigate(ctx, counting, slowJudge(t, 40), in, Options{Table: testTable(), Shape: xdpShape()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(f.Notes, "\n"), "interrupted") {
		t.Errorf("notes are %q", f.Notes)
	}
}

func TestInstructionsThatAreNotCounted(t *testing.T) {
	_, _, err := Oracles(xdpShape(), OracleOptions{MaxInsns: 5})
	if err == nil || !strings.Contains(err.Error(), "are not counted") {
		t.Errorf("error %v", err)
	}
	_, _, err = Oracles(xdpShape(), OracleOptions{Invariants: []Oracle{{Name: Slow}}})
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("an invariant of the oracle's name: %v", err)
	}
}
