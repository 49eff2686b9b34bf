package cover

import (
	"slices"
	"testing"
)

func TestExpandFollowsPrunedEdges(t *testing.T) {
	table := &Table{
		Probes: 2,
		Edges: []Edge{
			{Kind: Entry, Probe: -1, Via: []int{1, 2}},
			{Probe: 0},
			{Probe: -1, Via: []int{3, 4}},
			{Probe: 1},
			{Probe: -1, Skipped: "no free register"},
		},
	}
	for _, test := range []struct {
		name     string
		features []byte
		want     []bool
	}{
		{"nothing", make([]byte, 8), []bool{false, false, false, false, false}},
		{"direct", []byte{1, 0, 0, 0, 0, 0, 0, 0}, []bool{true, true, false, false, false}},
		{"through two unions", []byte{0, 1, 0, 0, 0, 0, 0, 0}, []bool{true, false, true, true, false}},
		{"short vector", nil, []bool{false, false, false, false, false}},
	} {
		if got := table.Expand(nil, test.features); !slices.Equal(got, test.want) {
			t.Errorf("%s: Expand = %v, want %v", test.name, got, test.want)
		}
	}
	if got := table.Observable(); got != 4 {
		t.Errorf("Observable = %d, want 4", got)
	}
	if got := table.Len(); got != 8 {
		t.Errorf("Len = %d, want 8", got)
	}
}

func TestExpandEndsOnCyclicTables(t *testing.T) {
	table := &Table{Edges: []Edge{{Probe: -1, Via: []int{1}}, {Probe: -1, Via: []int{0}}}}
	if got := table.Count(nil); got != 0 {
		t.Errorf("Count = %d, want 0", got)
	}
}

func TestSeen(t *testing.T) {
	s := NewSeen(16)
	a := make([]byte, 16)
	a[15] = 3
	if !s.Adds(a) || s.Merge(a) != 2 || s.Adds(a) {
		t.Error("two new bits must be new once")
	}
	a[15] = 2
	if s.Adds(a) {
		t.Error("a subset is not new")
	}
	a[0] = 1
	if !s.Adds(a) {
		t.Error("another byte is new")
	}
	if n := testing.AllocsPerRun(100, func() { s.Adds(a) }); n != 0 {
		t.Errorf("Adds allocates %v times", n)
	}
}

func TestLabels(t *testing.T) {
	for _, test := range []struct {
		edge Edge
		want string
	}{
		{Edge{Func: "f", From: -1}, "f: insn 0 (entry)"},
		{Edge{Func: "f", Kind: Taken, From: 3, To: 9}, "f: insn 3 -> insn 9 (taken)"},
		{Edge{Func: "f", Kind: FallThrough, FromPos: Pos{File: "src/a.c", Line: 3, Column: 1}, ToPos: Pos{File: "src/a.c", Line: 4, Column: 1}}, "f: a.c:3 -> a.c:4 (fall-through)"},
		{Edge{Func: "f", From: 5, To: 9, Kind: Taken, FromPos: Pos{File: "src/a.c", Line: 3}, ToPos: Pos{File: "inc/b.h"}}, "f: a.c:3 -> insn 9 (taken)"},
	} {
		if got := test.edge.Label(); got != test.want {
			t.Errorf("Label = %q, want %q", got, test.want)
		}
	}
}
