package cover

import (
	"bytes"
	mathbits "math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// candidate makes one whose features are the bytes of ranks.
func candidate(name string, size, work uint64, ranks ...Rank) Candidate {
	return Candidate{Data: []byte(name), Size: size, Work: work, Profile: Ranks(ranks).Profile()}
}

func names(all []Candidate) (list []string) {
	for _, c := range all {
		list = append(list, string(c.Data))
	}
	return list
}

func TestSetCover(t *testing.T) {
	for _, test := range []struct {
		name string
		from []Candidate
		want []string
	}{
		{"none", nil, nil},
		{"nothing covered", []Candidate{candidate("a", 1, 1)}, nil},
		{"the smaller of two alike", []Candidate{candidate("a", 9, 1, 2, 2), candidate("b", 3, 9, 2, 2)}, []string{"b"}},
		{"the faster of two as large", []Candidate{candidate("a", 3, 9, 2, 2), candidate("b", 3, 1, 2, 2)}, []string{"b"}},
		{"the first by its bytes", []Candidate{candidate("b", 3, 1, 2), candidate("a", 3, 1, 2)}, []string{"a"}},
		{"an input within another", []Candidate{candidate("a", 4, 1, 2, 2, 2), candidate("b", 3, 1, 2, 2)}, []string{"a"}},
		{"two small ones for a large one", []Candidate{candidate("a", 100, 1, 2, 2), candidate("b", 3, 1, 2), candidate("c", 4, 1, 0, 2)}, []string{"b", "c"}},
		{"the nearer one", []Candidate{candidate("a", 3, 1, 60), candidate("b", 90, 1, 61)}, []string{"b"}},
		{"what is always there", []Candidate{candidate("a", 3, 1, Once), candidate("b", 90, 1, Always)}, []string{"b"}},
		{"what is there at times if nothing else is", []Candidate{candidate("a", 3, 1, Once), candidate("b", 90, 1, 0, Always)}, []string{"a", "b"}},
		{"one that later ones made superfluous", []Candidate{
			candidate("a", 10, 1, 2, 2, 2, 2, 0, 0), candidate("b", 10, 1, 2, 2, 0, 0, 2, 0), candidate("c", 10, 1, 0, 0, 2, 2, 0, 2),
		}, []string{"b", "c"}},
		{"sizes of nothing", []Candidate{candidate("a", 0, 0, 2), candidate("b", 0, 0, 0, 2)}, []string{"a", "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := names(SetCover(test.from)); !slices.Equal(got, test.want) {
				t.Errorf("SetCover = %q, want %q", got, test.want)
			}
		})
	}
}

// TestSetCoverAgainstBruteForce compares with the best of all sets, in candidates made
// at random.
func TestSetCoverAgainstBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	optimal := 0
	const rounds = 400
	for round := range rounds {
		all := randomCandidates(rng, 1+rng.IntN(9), 1+rng.IntN(12))
		got := SetCover(all)
		want := bestRanks(all)
		if !slices.Equal(bestRanks(got), want) {
			t.Fatalf("round %d: the cover has ranks %v of %v", round, bestRanks(got), want)
		}
		for i := range got {
			if without := slices.Delete(slices.Clone(got), i, i+1); slices.Equal(bestRanks(without), want) {
				t.Fatalf("round %d: %q can be left out", round, got[i].Data)
			}
		}
		best, bound := smallest(all, want), 0.0
		for i := range most(all) {
			bound += 1 / float64(i+1)
		}
		if n := size(got); float64(n) > bound*float64(best)+1e-9 {
			t.Fatalf("round %d: size %d, the smallest is %d, and %.2f times that is allowed", round, n, best, bound)
		} else if n == best {
			optimal++
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if again := SetCover(all); !slices.Equal(names(again), names(got)) {
			t.Fatalf("round %d: in another order %q, not %q", round, names(again), names(got))
		}
	}
	if optimal < rounds*8/10 {
		t.Errorf("only %d of %d covers are as small as can be", optimal, rounds)
	}
}

func TestSelectionIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	all := randomCandidates(rng, 20_000, 40)
	limited, free := Selection{Limit: 64 << 10}, Selection{}
	most := 0
	for _, c := range all {
		limited.Add(c)
		free.Add(c)
		most = max(most, limited.bytes)
	}
	if most > 64<<10 {
		t.Errorf("%d bytes are held, the limit is %d", most, 64<<10)
	}
	if free.Held() <= limited.Held() {
		t.Errorf("%d candidates are held without a limit, %d with one", free.Held(), limited.Held())
	}
	got, want := limited.SetCover(), free.SetCover()
	if !slices.Equal(bestRanks(got), bestRanks(want)) {
		t.Error("with a limit, less is covered")
	}
	if size(got) > 2*size(want) {
		t.Errorf("with a limit, the size is %d, without %d", size(got), size(want))
	}
}

func TestSelectionHoldsTheBestOfAProfile(t *testing.T) {
	var s Selection
	for _, c := range []Candidate{candidate("long", 4, 1, 2), candidate("no", 0, 0), candidate("a", 1, 1, 2), candidate("bb", 2, 1, 2)} {
		s.Add(c)
	}
	if got := names(s.held); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q are held", got)
	}
	if want := perCandidate + len("a") + len(s.held[0].Profile); s.bytes != want {
		t.Errorf("%d bytes are counted, want %d", s.bytes, want)
	}
}

func randomCandidates(rng *rand.Rand, n, features int) []Candidate {
	all := make([]Candidate, n)
	for i := range all {
		ranks := make(Ranks, features)
		for f := range ranks {
			if rng.IntN(3) == 0 {
				ranks[f] = Rank(1 + rng.IntN(3))
			}
		}
		all[i] = Candidate{Data: binaryName(i), Size: uint64(1 + rng.IntN(20)), Work: uint64(rng.IntN(3)), Profile: ranks.Profile()}
	}
	return all
}

func binaryName(i int) []byte { return []byte{byte(i >> 16), byte(i >> 8), byte(i)} }

func size(all []Candidate) (n int) {
	for _, c := range all {
		n += int(c.Size)
	}
	return n
}

// most returns the most features that a candidate has.
func most(all []Candidate) (n int) {
	for _, c := range all {
		has := 0
		for range c.Profile.All() {
			has++
		}
		n = max(n, has)
	}
	return n
}

// smallest returns the smallest size of a set with the ranks that are wanted.
func smallest(all []Candidate, want Ranks) int {
	best := size(all)
	for set := range uint(1) << len(all) {
		var chosen []Candidate
		for rest := set; rest != 0; rest &= rest - 1 {
			chosen = append(chosen, all[mathbits.TrailingZeros(rest)])
		}
		if size(chosen) < best && slices.Equal(bestRanks(chosen), want) {
			best = size(chosen)
		}
	}
	return best
}

func BenchmarkSetCover(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	all := randomCandidates(rng, 10_000, 600)
	b.ReportAllocs()
	for b.Loop() {
		if cover := SetCover(all); len(cover) == 0 || bytes.Equal(cover[0].Data, nil) {
			b.Fatal("no cover")
		}
	}
}
