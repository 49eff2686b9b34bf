package cover

import (
	"maps"
	"math"
	"slices"
	"testing"
)

// profiled is a table with three edges, a loop and two comparisons.
func profiled() *Table {
	return &Table{
		Edges:  []Edge{{Probe: 0}, {Probe: 1}, {Probe: 2}, {Probe: -1, Via: []int{0, 2}}},
		Probes: 3, Loops: []int{1},
		Comparisons: []Comparison{{Relation: Equal, Size: 8}, {Relation: Less, Size: 4}},
	}
}

func TestNearness(t *testing.T) {
	last := there
	for _, distance := range []uint64{1, 2, 31, 32, 33, 64, 128, 1 << 20, 1 << 40, 1 << 62, math.MaxUint64} {
		got := nearness(distance)
		if got >= last || got < far {
			t.Errorf("nearness(%d) = %d, the next smaller distance has %d", distance, got, last)
		}
		last = got
	}
	if nearness(0) != there || last != far {
		t.Errorf("distances 0 and %d have ranks %d and %d, want %d and %d", uint64(math.MaxUint64), nearness(0), last, there, far)
	}
	if nearness(40) != nearness(63) {
		t.Error("large distances of the same number of bits have different ranks")
	}
}

func TestProfile(t *testing.T) {
	const first, second = 64, 68 // features of the comparisons
	equal := func(a, b uint64) Compared { return Compared{Site: 0, A: a, B: b} }
	type run struct {
		vector   []byte
		compared []Compared
	}
	for _, test := range []struct {
		name string
		runs []run
		want map[int]Rank
	}{
		{"nothing", []run{{vector: make([]byte, 8)}}, map[int]Rank{}},
		{"edges and a loop", []run{{vector: []byte{1, 0, 1, 0b101, 0, 0, 0, 0}}}, map[int]Rank{0: Always, 16: Always, 24: Always, 26: Always}},
		{"short vector", []run{{vector: []byte{1}}}, map[int]Rank{0: Always}},
		{"a comparison that did not hold", []run{{compared: []Compared{equal(7, 9)}}}, map[int]Rank{
			first: Always, first + 2: there, first + 3: there - 2,
		}},
		{"both ways in one run", []run{{compared: []Compared{equal(7, 9), equal(9, 9)}}}, map[int]Rank{
			first: Always, first + 1: Always, first + 2: there, first + 3: there,
		}},
		{"the nearest counts", []run{{compared: []Compared{{Site: 1, A: 9, B: 3}, {Site: 1, A: 300, B: 3}}}}, map[int]Rank{
			second: Always, second + 2: there, second + 3: there - 6,
		}},
		{"an unknown comparison", []run{{compared: []Compared{{Site: 2}, {Site: -1}}}}, map[int]Rank{}},
		{"the same twice", []run{{vector: []byte{1}}, {vector: []byte{1}}}, map[int]Rank{0: Always}},
		{"once of twice", []run{{vector: []byte{1}}, {vector: []byte{0, 1}}}, map[int]Rank{0: Once, 8: Once}},
		{"nearer in one of two", []run{{compared: []Compared{equal(7, 9)}}, {compared: []Compared{equal(4, 9)}}}, map[int]Rank{
			first: Always, first + 2: there, first + 3: there - 5,
		}},
		{"compared in one of two", []run{{compared: []Compared{equal(7, 9)}}, {}}, map[int]Rank{
			first: Once, first + 2: far, first + 3: far,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := NewProfiler(profiled())
			p.Add([]byte{1, 1, 1, 1, 0, 0, 0, 0}, nil) // of another input
			p.Reset()
			for _, r := range test.runs {
				p.Add(r.vector, r.compared)
			}
			if got := maps.Collect(p.Profile().All()); !maps.Equal(got, test.want) {
				t.Errorf("profile %v, want %v", got, test.want)
			}
		})
	}
}

func TestProfilePacks(t *testing.T) {
	want := Ranks{0: Once, 1: Always, 200: there, 20_000: far, 20_001: Always}
	got := make(Ranks, len(want))
	if !got.Merge(want.Profile()) || got.Merge(want.Profile()) {
		t.Error("merging has to make a difference once")
	}
	if !slices.Equal(got, want) {
		t.Error("what was packed is not what is unpacked")
	}
	short := make(Ranks, 1)
	short.Merge(want.Profile())
	if short[0] != Once {
		t.Errorf("short ranks become %v", short)
	}
}

func FuzzProfile(f *testing.F) {
	f.Add("\x00\x03\x05")
	f.Add("\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, packed string) {
		last := -1
		for feature := range Profile(packed).All() {
			if feature <= last {
				t.Fatalf("feature %d comes after %d", feature, last)
			}
			last = feature
		}
	})
}

func TestTally(t *testing.T) {
	table := profiled()
	p := NewProfiler(table)
	p.Add([]byte{1, 0, 0, 0b11, 0, 0, 0, 0}, []Compared{{Site: 0, A: 1, B: 2}, {Site: 1, A: 1, B: 2}, {Site: 1, A: 2, B: 1}})
	p.Add([]byte{1, 1, 0, 0b11, 0, 0, 0, 0}, []Compared{{Site: 0, A: 1, B: 2}, {Site: 1, A: 1, B: 2}, {Site: 1, A: 2, B: 1}})
	r := make(Ranks, table.Features())
	r.Merge(p.Profile())
	want := Tally{Edges: 3, Loops: 2, Ways: 3, Near: 1, Once: 1}
	if got := table.Tally(r); got != want {
		t.Errorf("Tally = %+v, want %+v", got, want)
	}
	if got := table.Work([]byte{1, 0, 1, 0b101, 9, 9, 9, 9}); got != 2+5 {
		t.Errorf("Work = %d, want 7", got)
	}
}

func TestFeatureLabel(t *testing.T) {
	table := profiled()
	for i := range table.Edges {
		table.Edges[i].Func, table.Edges[i].From, table.Edges[i].To, table.Edges[i].Kind = "f", i, i+1, Taken
	}
	table.Comparisons[0].Func, table.Comparisons[0].At = "f", 7
	table.Comparisons[1].Func, table.Comparisons[1].Pos = "f", Pos{File: "src/f.c", Line: 3}
	for feature, want := range map[int]string{
		-1: "feature -1", 16: "f: insn 2 -> insn 3 (taken)", 26: "f: insn 1 -> insn 2 (taken), 4 times or more in a row",
		40: "feature 40", 64: "f: comparison at insn 7 not taken", 71: "f: comparison at f.c:3 near to being taken",
		72: "feature 72",
	} {
		if got := table.FeatureLabel(feature); got != want {
			t.Errorf("FeatureLabel(%d) = %q, want %q", feature, got, want)
		}
	}
}
