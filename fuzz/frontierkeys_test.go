package fuzz

import (
	"fmt"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
)

// TestFrontierOfKeys has a branch on whether a map has a key: what was asked for, what
// the map has and which bytes decide is said.
func TestFrontierOfKeys(t *testing.T) {
	var flows *corpus.MapShape
	target := newToy(5, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		r.compare(0, uint64(packet[0]), 255) // without which nothing is logged
		if r.lookup(flows, []byte{packet[7], packet[6]}) {
			r.hit(3)
		} else {
			r.hit(4)
		}
		return 2
	}).comparing(cover.Comparison{Relation: cover.Equal, Constant: true})
	target.shape.Maps = []corpus.MapShape{{Name: "flows", Kind: "hash", KeySize: 2, Keys: [][]byte{{0xff, 0xff}, {1, 2}, {1}}}}
	flows = &target.shape.Maps[0]
	target.table.Entries = []cover.Comparison{{
		Relation: cover.Equal, Size: 8, Constant: true, Fall: 3, Taken: 4,
		A: cover.Operand{Source: cover.MapEntry, Name: "flows"}, B: cover.Operand{Source: cover.Fixed},
	}}
	input := func(a, b byte) *corpus.Input {
		return &corpus.Input{Steps: []corpus.Step{{Packet: append([]byte{0, 0, 0, 0, 0, 0, a, b}, make([]byte, 8)...)}}}
	}
	exec, err := target.NewExecutor(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		inputs []*corpus.Input
		edge   int
		want   string
	}{
		{"an entry", []*corpus.Input{input(0x80, 0x80), input(2, 0), input(0x70, 0)}, 3, "asked 0002 found false, has [[1 2] [255 255]], distance 1, input 1"},
		{"no entry", []*corpus.Input{input(2, 1)}, 4, "asked 0102 found true, has [], distance 1, input 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := FindFrontier(t.Context(), target, exec, tt.inputs)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range f.Branches {
				if b.Edge != tt.edge {
					continue
				}
				if b.Lookup == nil || b.Comparison != &target.table.Entries[0] {
					t.Fatalf("%+v", b)
				}
				got := fmt.Sprintf("asked %x found %v, has %v, distance %d, input %d", b.Lookup.Key, b.Lookup.Found, b.Wanted, b.Distance, b.Input)
				if got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if want := []solve.Place{{Part: "packet", Offset: 6, Size: 2}}; fmt.Sprint(b.Feeds) != fmt.Sprint(want) {
					t.Errorf("fed by %v, want %v", b.Feeds, want)
				}
				return
			}
			t.Errorf("edge %d is not among %+v", tt.edge, f.Branches)
		})
	}
}
