package corpus

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// flooded returns a corpus of one entry per edge, into which a hundred thousand inputs
// were tried whose further features differ.
func flooded(t *testing.T, edges int) *Corpus {
	t.Helper()
	c := New(64)
	for i := range edges {
		f := make([]byte, 64)
		f[i] = 1
		if _, ok := c.Add(step("edge"), f); !ok {
			t.Fatalf("edge %d was not kept", i)
		}
	}
	covered := make([]byte, 64)
	covered[0] = 1
	for n := range uint64(100_000) {
		var f cover.Further
		for d := range f {
			f.Set(cover.Domain(d), n*7+uint64(d))
		}
		c.AddFurther(&Input{Steps: []Step{{Packet: binary.BigEndian.AppendUint64(nil, n)}}}, covered, &f)
	}
	return c
}

func TestFurtherFeaturesDoNotFlood(t *testing.T) {
	const edges = 10
	s := flooded(t, edges).Snapshot()
	if extra := s.Len() - edges; extra == 0 || extra > cover.MaxFurther {
		t.Fatalf("%d entries are kept for further features, want at most %d", extra, cover.MaxFurther)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	const picks = 100_000
	extra, picked := 0, map[*Entry]int{}
	for range picks {
		e := s.Pick(rng.Uint64())
		if picked[e]++; e.Extra {
			extra++
		}
	}
	if most := picks * 35 / 100; extra > most || extra == 0 {
		t.Errorf("entries for further features were picked %d times of %d, want some and at most %d", extra, picks, most)
	}
	if len(picked) != s.Len() {
		t.Errorf("%d of %d entries were ever picked", len(picked), s.Len())
	}
}

func TestRareFurtherFeaturesArePreferred(t *testing.T) {
	c := New(8)
	c.Add(step("edge"), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	none := make([]byte, 8)
	for i := range 32 { // many more edges, so that weights are not scaled
		c.Force(step("filler"), none)
		c.AddFurther(step("common"), none, &cover.Further{0: 1 | 2<<i})
	}
	rare, _ := c.AddFurther(step("rare"), none, &cover.Further{1: 1<<20 - 1})
	s := c.Snapshot()
	picked, rng := map[*Entry]int{}, rand.New(rand.NewPCG(2, 2))
	for range 100_000 {
		picked[s.Pick(rng.Uint64())]++
	}
	if common := s.Entries()[2]; picked[rare] < 3*picked[common] {
		t.Errorf("the entry with twenty features of its own was picked %d times, one with one %d times", picked[rare], picked[common])
	}
}

func TestAddFurtherKeepsWhatIsNew(t *testing.T) {
	c := New(8)
	covered := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	c.Add(step("edge"), covered)
	for _, test := range []struct {
		name    string
		covers  []byte
		further cover.Further
		want    bool
		extra   bool
	}{
		{"first", covered, cover.Further{0: 1}, true, true},
		{"again", covered, cover.Further{0: 1}, false, false},
		{"same bit of another domain", covered, cover.Further{1: 1}, true, true},
		{"nothing", covered, cover.Further{}, false, false},
		{"with an edge of its own", []byte{1, 1, 0, 0, 0, 0, 0, 0}, cover.Further{0: 2}, true, false},
	} {
		e, got := c.AddFurther(step(test.name), test.covers, &test.further)
		if got != test.want || got && e.Extra != test.extra {
			t.Errorf("%s: AddFurther = %+v, %v", test.name, e, got)
		}
	}
}
