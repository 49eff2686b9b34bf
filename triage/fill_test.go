package triage

import (
	"context"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// filling adds entries to a map of ten: what adds returns for the n-th step.
func filling(start int, adds func(n int) int) Rerun {
	return func(_ context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
		out := &corpus.Outcome{Have: want, Fill: []corpus.MapFill{{Map: "table", Start: start, Entries: start, Max: 10}}}
		for n := range in.Steps {
			out.Steps = append(out.Steps, corpus.StepOutcome{Ret: 2})
			out.Fill[0].Entries = min(out.Fill[0].Entries+adds(n), 10)
		}
		return out, nil
	}
}

func TestMapsThatFillUp(t *testing.T) {
	shape := xdpShape()
	shape.Maps = []corpus.MapShape{{Name: "table", Kind: "hash", KeySize: 4, ValueSize: 4, MaxEntries: 10}}
	first := func(until, n int) func(int) int {
		return func(step int) int {
			if step < until {
				return n
			}
			return 0
		}
	}
	tests := []struct {
		name, oracle string
		start, steps int
		adds         func(int) int
		fails        bool
	}{
		{"nothing is added", MapFull, 3, 1, first(0, 0), false},
		{"room is left", MapFull, 3, 1, first(1, 6), false},
		{"full", MapFull, 3, 1, first(1, 7), true},
		{"was full before", MapFull, 10, 1, first(1, 1), false},
		{"full after the last step", MapFull, 8, 2, first(2, 1), true},
		{"another entry each time", MapLeak, 0, 1, first(100, 1), true},
		{"two packets, one entry each time", MapLeak, 0, 2, func(n int) int { return (n + 1) % 2 }, true},
		{"an entry once", MapLeak, 0, 1, first(1, 1), false},
		{"a table that learns", MapLeak, 0, 1, first(6, 1), false},
		{"none at first", MapLeak, 0, 1, func(n int) int { return min(n, 1) }, false},
		{"fewer than before", MapLeak, 9, 1, first(100, -1), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all, relations, err := Oracles(shape, OracleOptions{Enable: map[string]bool{test.oracle: true}})
			if err != nil {
				t.Fatal(err)
			}
			in := &corpus.Input{Steps: make([]corpus.Step, test.steps)}
			for i := range in.Steps {
				in.Steps[i].Packet = make([]byte, 20)
			}
			failure, err := NewJudge(all, relations).Sampled(t.Context(), filling(test.start, test.adds), in)
			if err != nil || (failure != nil) != test.fails || failure != nil && failure.Oracle != test.oracle {
				t.Errorf("failure %v, error %v", failure, err)
			}
		})
	}
	if _, _, err := Oracles(xdpShape(), OracleOptions{Enable: map[string]bool{MapFull: true}}); err == nil {
		t.Error("without a map that gets full there is no error")
	}
}
