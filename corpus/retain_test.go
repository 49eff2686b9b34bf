package corpus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// features makes a vector of bits.
func features(bits ...int) []byte {
	v := make([]byte, 8)
	for _, bit := range bits {
		v[bit/8] |= 1 << (bit % 8)
	}
	return v
}

func TestExcess(t *testing.T) {
	long, short := time.Unix(1, 0), time.Unix(2, 0)
	for _, test := range []struct {
		name   string
		files  []Stored
		limits Limits
		want   []string
	}{
		{"no limit", []Stored{{Name: "a", Bytes: 1 << 40}}, Limits{}, nil},
		{"within limits", []Stored{{Name: "a", Bytes: 9}, {Name: "b"}}, Limits{Bytes: 9, Entries: 2}, nil},
		{"what covers nothing goes first", []Stored{{Name: "a", Bytes: 9, Cover: features(1)}, {Name: "b", Bytes: 1}}, Limits{Entries: 1}, []string{"b"}},
		{"what others cover goes first", []Stored{{Name: "a", Bytes: 9, Cover: features(1, 2)}, {Name: "b", Bytes: 1, Cover: features(2)}}, Limits{Entries: 1}, []string{"b"}},
		{"the largest", []Stored{{Name: "a", Bytes: 1}, {Name: "b", Bytes: 2}, {Name: "c", Bytes: 1}}, Limits{Entries: 2}, []string{"b"}},
		{"then the slowest", []Stored{{Name: "a", Work: 1}, {Name: "b", Work: 2}, {Name: "c", Work: 1}}, Limits{Entries: 2}, []string{"b"}},
		{"then the oldest", []Stored{{Name: "a", Modified: short}, {Name: "b", Modified: long}, {Name: "c", Modified: short}}, Limits{Entries: 2}, []string{"b"}},
		{"one of two alike stays", []Stored{{Name: "a", Bytes: 1, Cover: features(1)}, {Name: "b", Bytes: 2, Cover: features(1)}, {Name: "c", Bytes: 9, Cover: features(2)}}, Limits{Entries: 2}, []string{"b"}},
		{"what is needed goes when nothing else is left", []Stored{{Name: "a", Bytes: 5, Cover: features(1)}, {Name: "b", Bytes: 6, Cover: features(2)}}, Limits{Bytes: 5}, []string{"b"}},
		{"no more than need be", []Stored{{Name: "a", Bytes: 5}, {Name: "b", Bytes: 4}, {Name: "c", Bytes: 3}}, Limits{Bytes: 7}, []string{"a"}},
		{"what must stay counts", []Stored{{Name: "a", Bytes: 5, Stays: true}, {Name: "b", Bytes: 4, Cover: features(1)}}, Limits{Bytes: 5}, []string{"b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 {
				if got := Excess(test.files, test.limits); !slices.Equal(got, test.want) {
					t.Errorf("Excess = %q, want %q", got, test.want)
				}
				slices.Reverse(test.files)
			}
		})
	}
}

// TestExcessLosesNothingEarly has files at random: as long as files are left that cover
// nothing of their own, no feature is lost, and limits hold.
func TestExcessLosesNothingEarly(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for round := range 300 {
		files := make([]Stored, 1+rng.IntN(30))
		for i := range files {
			files[i] = Stored{Name: fmt.Sprintf("%02d", i), Bytes: int64(rng.IntN(10))}
			for range rng.IntN(5) {
				files[i].Cover = features(append(bitsOf(files[i].Cover), rng.IntN(20))...)
			}
		}
		limits := Limits{Bytes: int64(1 + rng.IntN(100)), Entries: 1 + rng.IntN(20)}
		gone := Excess(files, limits)
		left := slices.DeleteFunc(slices.Clone(files), func(f Stored) bool { return slices.Contains(gone, f.Name) })
		total := int64(0)
		for _, f := range left {
			total += f.Bytes
		}
		if total > limits.Bytes || len(left) > limits.Entries {
			t.Fatalf("round %d: %d files of %d bytes are left, the limits are %+v", round, len(left), total, limits)
		}
		if len(all(left)) == len(all(files)) {
			continue
		}
		for _, f := range left {
			rest := slices.DeleteFunc(slices.Clone(left), func(other Stored) bool { return other.Name == f.Name })
			if len(all(rest)) == len(all(left)) {
				t.Fatalf("round %d: something is not covered any more, and %s, which covers nothing of its own, is there", round, f.Name)
			}
		}
	}
}

func bitsOf(features []byte) (bits []int) {
	eachBit(features, func(bit int) { bits = append(bits, bit) })
	return bits
}

func all(files []Stored) map[int]bool {
	covered := map[int]bool{}
	for _, f := range files {
		for _, bit := range bitsOf(f.Cover) {
			covered[bit] = true
		}
	}
	return covered
}

func TestRetain(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	kept, twin, useless, late := step("kept"), step("kept as well"), step("useless"), step("came while the run was at work")
	if err := d.Add(kept, twin, useless, late); err != nil {
		t.Fatal(err)
	}
	name := func(in *Input) string { return FileName(MarshalFile(in)) }
	byHand := filepath.Join(d.Path(), "by-hand")
	if err := os.WriteFile(byHand, MarshalFile(step("by hand")), 0o600); err != nil {
		t.Fatal(err)
	}
	since := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(d.Path(), name(late)), since, since.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	entries := []*Entry{{Input: kept, Cover: features(1)}, {Input: twin, Cover: features(1)}}
	if n, err := d.Retain(entries, since, nil, Limits{}); n != 0 || err != nil {
		t.Fatalf("%d files removed without a limit, %v", n, err)
	}
	removed, err := d.Retain(entries, since, nil, Limits{Entries: 3})
	if removed != 2 || err != nil {
		t.Fatalf("%d files removed, %v; want 2", removed, err)
	}
	files, err := os.ReadDir(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, f := range files {
		left = append(left, f.Name())
	}
	want := []string{name(kept), name(late), "by-hand"}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("%q are left, want %q", left, want)
	}
}
