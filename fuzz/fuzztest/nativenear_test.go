package fuzztest

import (
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

func TestNearDistance(t *testing.T) {
	for _, test := range []struct {
		name string
		c    cover.Comparison
		a, b uint64
		want int
	}{
		{"equal", cover.Comparison{Relation: cover.Equal, Size: 4}, 0x12, 0x12, 0},
		{"not equal", cover.Comparison{Relation: cover.NotEqual, Size: 4}, 0xff, 0x0f, 4},
		{"common bits", cover.Comparison{Relation: cover.AnyBit, Size: 8}, 0xf0, 0x3c, 2},
		{"no common bits", cover.Comparison{Relation: cover.NoBit, Size: 8}, 0xf0, 0x0f, 0},
		{"less", cover.Comparison{Relation: cover.Less, Size: 8}, 10, 14, 3},
		{"far", cover.Comparison{Relation: cover.Greater, Size: 8}, 0, 1 << 63, 64},
		{"signed", cover.Comparison{Relation: cover.Less, Size: 8, Signed: true}, ^uint64(0), 1, 2},
		{"signed, 4 bytes", cover.Comparison{Relation: cover.Less, Size: 4, Signed: true}, 0xffffffff, 1, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := distance(&test.c, cover.Compared{A: test.a, B: test.b}); got != test.want {
				t.Errorf("distance is %d, want %d", got, test.want)
			}
		})
	}
}

func TestNearLevel(t *testing.T) {
	for distance, want := range map[int]byte{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 16, 7: 32, 12: 64, 16: 128, 17: 0, 64: 0} {
		if got := level(distance); got != want {
			t.Errorf("the level of %d is %d, want %d", distance, got, want)
		}
	}
}

// nearTable has a byte compared, then a word, then one whose edges cannot be observed.
func nearTable() *cover.Table {
	return &cover.Table{
		Probes: 3,
		Edges: []cover.Edge{
			{From: -1, Probe: 0},
			{Kind: cover.Taken, Probe: 1},
			{Kind: cover.FallThrough, Probe: 2},
			{Kind: cover.Taken, Probe: -1, Via: []int{1}},
		},
		Comparisons: []cover.Comparison{
			{Relation: cover.NotEqual, Size: 4, Taken: 1, Fall: 2, A: cover.Operand{Size: 1}},
			{Relation: cover.NotEqual, Size: 4, Taken: 3, Fall: -1},
			{Relation: cover.NotEqual, Size: 4, Taken: -1, Fall: -1},
		},
	}
}

func TestNearLevels(t *testing.T) {
	for _, test := range []struct {
		name     string
		seen     []byte
		compared []cover.Compared
		want     []byte
	}{
		{"nothing compared", nil, nil, []byte{0, 0, 0}},
		{"each", nil, []cover.Compared{{Site: 0, A: 3}, {Site: 1, A: 0xff}}, []byte{2, 32, 0}},
		{"more than half of a byte differs", nil, []cover.Compared{{Site: 0, A: 0x1f}, {Site: 1, A: 0x1f}}, []byte{0, 16, 0}},
		{"the nearest of several", nil, []cover.Compared{{Site: 0, A: 7}, {Site: 0, A: 1}, {Site: 0, A: 3}}, []byte{1, 0, 0}},
		{"went one way", []byte{1, 1, 0, 0, 0, 0, 0, 0}, []cover.Compared{{Site: 0, A: 1}, {Site: 1, A: 1}}, []byte{1, 0, 0}},
		{"went both ways", []byte{1, 1, 1, 0, 0, 0, 0, 0}, []cover.Compared{{Site: 0, A: 1}}, []byte{0, 0, 0}},
		{"not observable", nil, []cover.Compared{{Site: 2, A: 1}}, []byte{0, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNear(nearTable())
			if test.seen != nil {
				n.update(test.seen)
			}
			if got := n.appendLevels(nil, test.compared); !slices.Equal(got, test.want) {
				t.Errorf("levels %v, want %v", got, test.want)
			}
		})
	}
}

func TestNearAllocations(t *testing.T) {
	n := newNear(nearTable())
	compared := []cover.Compared{{Site: 0, A: 3}, {Site: 1, A: 0xff}}
	features := make([]byte, 0, 8)
	if allocs := testing.AllocsPerRun(100, func() { features = n.appendLevels(features[:0], compared) }); allocs != 0 {
		t.Errorf("%v allocations for each execution, want 0", allocs)
	}
}
