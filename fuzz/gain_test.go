package fuzz

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Gains of a run add up to what it passed beyond its seeds, with any number of workers.
func TestGainsAddUp(t *testing.T) {
	seed := &corpus.Input{Steps: []corpus.Step{{Packet: append(make([]byte, 11), 0x5a, 0, 0)}}}
	for name, test := range map[string]struct {
		workers int
		seeds   []*corpus.Input
		most    int // edges that are gained
	}{
		"one worker":   {1, nil, 4},
		"four workers": {4, nil, 4},
		"with a seed":  {1, []*corpus.Input{seed}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			edges, first := 0, map[uint64]bool{}
			result := runToy(t, staged(), Options{
				Seed: 1, Execs: 3_000_000, StopOnFinding: true, Workers: test.workers, Seeds: test.seeds,
				Gained: func(g Gain) {
					edges += g.Edges
					if g.Edges < 1 || first[g.First.ID] {
						t.Errorf("gain of %d edges, the first is %s", g.Edges, g.First.Label())
					}
					first[g.First.ID] = true
				},
			})
			if edges < 1 || edges > test.most || edges >= result.Stats.Edges {
				t.Errorf("%d edges gained, want 1 to %d; %d were passed", edges, test.most, result.Stats.Edges)
			}
			if found := result.Stats.Found; found < 1 || found >= result.Stats.Corpus {
				t.Errorf("%d of %d entries were found", found, result.Stats.Corpus)
			}
		})
	}
}
