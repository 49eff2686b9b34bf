package cover

import (
	"bytes"
	"cmp"
	"container/heap"
	mathbits "math/bits"
	"slices"
)

// Candidate is an input that a set cover may take.
type Candidate struct {
	// Data stands for the input. Where two are as good as each other, the one whose Data
	// sorts first is taken.
	Data []byte
	// Size is what is to be small, and Work what is to be small where sizes are the same.
	Size, Work uint64
	// Profile is what the input has of each feature.
	Profile Profile
}

// compare orders candidates that have the same features: the better one first.
func (c *Candidate) compare(other *Candidate) int {
	return cmp.Or(cmp.Compare(c.Size, other.Size), cmp.Compare(c.Work, other.Work), bytes.Compare(c.Data, other.Data))
}

// Better reports whether c is to be preferred to another one with the same profile.
func (c *Candidate) Better(than *Candidate) bool { return c.compare(than) < 0 }

// SetCover returns candidates that together have the best rank of each feature that any
// candidate has. None of them can be left out. The best is first, and their order and
// choice follow from the set of candidates alone, not from its order.
//
// Finding the smallest such set is not feasible; this one is greedy, by features per
// unit of Size, and its sum of sizes is at most as many times that of the best one as
// the harmonic number of the most features that a candidate has.
func SetCover(candidates []Candidate) []Candidate {
	s := &setCover{candidates: candidates, best: bestRanks(candidates)}
	s.left = slices.Clone(s.best)
	taken := s.shrink(s.greedy())
	slices.SortFunc(taken, func(a, b Candidate) int { return a.compare(&b) })
	return taken
}

func bestRanks(candidates []Candidate) Ranks {
	var best Ranks
	for i := range candidates {
		for feature, rank := range candidates[i].Profile.All() {
			if feature >= len(best) {
				best = append(best, make(Ranks, feature+1-len(best))...)
			}
			best[feature] = max(best[feature], rank)
		}
	}
	return best
}

type setCover struct {
	candidates []Candidate
	best       Ranks
	left       Ranks // best, 0 for features that a taken candidate has
	queue      []offer
}

// offer is a candidate with the number of features that it had left at some time: never
// fewer than it has now.
type offer struct{ candidate, gain int }

// greedy takes, time and again, the candidate that has most of what is left for its
// size. Gains only fall, so the first in the queue is the best one if it still is after
// its gain has been counted anew.
func (s *setCover) greedy() []Candidate {
	for i := range s.candidates {
		if n := s.gain(i); n > 0 {
			s.queue = append(s.queue, offer{i, n})
		}
	}
	heap.Init(s)
	var taken []Candidate
	for len(s.queue) > 0 {
		first := &s.queue[0]
		if n := s.gain(first.candidate); n != first.gain {
			if first.gain = n; n == 0 {
				heap.Pop(s)
			} else {
				heap.Fix(s, 0)
			}
			continue
		}
		c := s.candidates[heap.Pop(s).(offer).candidate]
		for feature := range s.bestOf(c.Profile) {
			s.left[feature] = 0
		}
		taken = append(taken, c)
	}
	return taken
}

func (s *setCover) gain(candidate int) int {
	n := 0
	for feature, rank := range s.candidates[candidate].Profile.All() {
		if rank == s.left[feature] {
			n++
		}
	}
	return n
}

// bestOf yields the features of which a profile has the best rank.
func (s *setCover) bestOf(p Profile) func(func(int) bool) {
	return func(yield func(int) bool) {
		for feature, rank := range p.All() {
			if rank == s.best[feature] && !yield(feature) {
				return
			}
		}
	}
}

// shrink leaves out, the worst first, candidates that later ones made superfluous.
func (s *setCover) shrink(taken []Candidate) []Candidate {
	owners := make([]int, len(s.best))
	for _, c := range taken {
		for feature := range s.bestOf(c.Profile) {
			owners[feature]++
		}
	}
	slices.SortFunc(taken, func(a, b Candidate) int { return b.compare(&a) })
	return slices.DeleteFunc(taken, func(c Candidate) bool {
		for feature := range s.bestOf(c.Profile) {
			if owners[feature] == 1 {
				return false
			}
		}
		for feature := range s.bestOf(c.Profile) {
			owners[feature]--
		}
		return true
	})
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (s *setCover) Len() int { return len(s.queue) }

// Less reports whether offer i has more features for its size.
func (s *setCover) Less(i, j int) bool {
	a, b := s.queue[i], s.queue[j]
	ca, cb := &s.candidates[a.candidate], &s.candidates[b.candidate]
	// a.gain/ca.Size > b.gain/cb.Size, without rounding.
	aHigh, aLow := mathbits.Mul64(uint64(a.gain), max(cb.Size, 1))
	bHigh, bLow := mathbits.Mul64(uint64(b.gain), max(ca.Size, 1))
	return cmp.Or(cmp.Compare(bHigh, aHigh), cmp.Compare(bLow, aLow), ca.compare(cb)) < 0
}

func (s *setCover) Swap(i, j int) { s.queue[i], s.queue[j] = s.queue[j], s.queue[i] }

// Push adds an offer.
func (s *setCover) Push(x any) { s.queue = append(s.queue, x.(offer)) }

// Pop removes the last offer.
func (s *setCover) Pop() any {
	last := s.queue[len(s.queue)-1]
	s.queue = s.queue[:len(s.queue)-1]
	return last
}

// Selection makes a set cover of any number of candidates in bounded memory. Of those
// with the same profile it holds the best one; when those that it holds take more than
// its limit, it reduces them to a set cover of their own. The zero value has no limit.
type Selection struct {
	// Limit is how many bytes of data and profiles are held; 0 means no limit. A set
	// cover that is larger itself is held nevertheless.
	Limit int

	held  []Candidate
	same  map[Profile]int // the index in held
	bytes int
	next  int // bytes at which to reduce
}

// perCandidate is about what one takes besides its data and profile.
const perCandidate = 128

// Add adds a candidate, whose Data the selection keeps. One without features is
// dropped.
func (s *Selection) Add(c Candidate) {
	if c.Profile == "" {
		return
	}
	if i, ok := s.same[c.Profile]; ok {
		if c.compare(&s.held[i]) < 0 {
			s.bytes += len(c.Data) - len(s.held[i].Data)
			s.held[i] = c
		}
		return
	}
	s.hold(c)
	if s.Limit > 0 && s.bytes > max(s.Limit, s.next) {
		s.reduce()
		s.next = 2 * s.bytes // or it would be reduced again with each one that is added
	}
}

func (s *Selection) hold(c Candidate) {
	if s.same == nil {
		s.same = map[Profile]int{}
	}
	s.same[c.Profile] = len(s.held)
	s.held = append(s.held, c)
	s.bytes += perCandidate + len(c.Data) + len(c.Profile)
}

func (s *Selection) reduce() {
	kept := SetCover(s.held)
	s.held, s.same, s.bytes = nil, nil, 0
	for _, c := range kept {
		s.hold(c)
	}
}

// Held returns how many candidates are held.
func (s *Selection) Held() int { return len(s.held) }

// SetCover returns the set cover of all candidates that were added.
func (s *Selection) SetCover() []Candidate { return SetCover(s.held) }
