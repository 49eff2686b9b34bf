package fuzz

import (
	"context"
	"fmt"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
)

// prunedToy is a toy that knows of an edge that nothing reaches.
type prunedToy struct {
	*toy
	gone []bool
}

func (p *prunedToy) Unreachable() ([]bool, error) { return p.gone, nil }

func TestFrontier(t *testing.T) {
	// Edges: 0 entry; 1, 2 of the first comparison; 3, 4 and 5, 6 behind its taken side.
	target := newToy(7, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if r.compare(0, uint64(packet[3]), 10) && r.compare(1, uint64(packet[5])<<8|uint64(packet[6]), 0x1234) {
			r.compare(2, 1, 1)
		}
		return 2
	}).comparing(
		cover.Comparison{Relation: cover.Greater, Constant: true},
		cover.Comparison{Relation: cover.Equal, Constant: true},
		cover.Comparison{Relation: cover.Equal, Constant: true},
	)
	input := func(bytes ...byte) *corpus.Input {
		return &corpus.Input{Steps: []corpus.Step{{Packet: append(bytes, make([]byte, 14-len(bytes))...)}}}
	}
	find := func(t *testing.T, target Target, inputs ...*corpus.Input) *Frontier {
		exec, err := target.NewExecutor(0)
		if err != nil {
			t.Fatal(err)
		}
		f, err := FindFrontier(t.Context(), target, exec, inputs)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("nearest first", func(t *testing.T) {
		f := find(t, target, input(0, 0, 0, 7), input(0, 0, 0, 20, 0, 0x12, 0x30), input(0, 0, 0, 20, 0, 9))
		if f.Passed != 4 || f.Total != 7 || len(f.Branches) != 3 || f.Saturated() {
			t.Fatalf("%+v", f)
		}
		b := f.Branches[0]
		if b.Edge != 4 || !b.Taken || b.Distance != 4 || b.Input != 1 || b.Nearest.A != 0x1230 || !b.Reached {
			t.Errorf("%+v", b)
		}
		if want := []solve.Place{{Part: "packet", Offset: 5, Size: 2}}; fmt.Sprint(b.Feeds) != fmt.Sprint(want) {
			t.Errorf("fed by %v, want %v", b.Feeds, want)
		}
		if b := f.Branches[1]; b.Edge != 5 || b.Reached || b.Evaluated {
			t.Errorf("%+v", b)
		}
	})
	t.Run("saturated", func(t *testing.T) {
		all := []*corpus.Input{input(), input(0, 0, 0, 20), input(0, 0, 0, 20, 0, 0x12, 0x34)}
		if f := find(t, target, all...); f.Saturated() || len(f.Branches) != 1 || f.Branches[0].Edge != 5 {
			t.Errorf("%+v", f)
		}
		if f := find(t, &prunedToy{target, []bool{5: true, 6: false}}, all...); !f.Saturated() || !f.Branches[0].Unreachable {
			t.Errorf("%+v", f)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		exec, err := target.NewExecutor(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := FindFrontier(ctx, target, exec, []*corpus.Input{input()}); err == nil {
			t.Error("no error")
		}
	})
}
