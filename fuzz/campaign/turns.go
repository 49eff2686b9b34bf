package campaign

import "github.com/bpffuzz/bpffuzz/fuzz"

// Sum returns the statistics of earlier turns of a target together with those of one more:
// what is counted is added up, and how it stands is as of the later one, but for edges and
// the corpus of one that has yet to run again what the earlier ones kept.
func Sum(before, turn fuzz.Stats) fuzz.Stats {
	sum := turn
	sum.Elapsed += before.Elapsed
	sum.Execs += before.Execs
	sum.Found += before.Found
	sum.Solved += before.Solved
	sum.Failing += before.Failing
	sum.Unconfirmed += before.Unconfirmed
	if turn.Found == 0 && before.Found > 0 {
		sum.Newest = before.Newest + turn.Elapsed
	}
	if turn.Edges < before.Edges && turn.Total == before.Total {
		sum.Edges, sum.Corpus = before.Edges, max(before.Corpus, turn.Corpus)
	}
	return sum
}
