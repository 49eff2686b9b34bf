package cover

import (
	"encoding/binary"
	"iter"
	mathbits "math/bits"
)

// Rank says how well a run has a feature; 0 stands for not at all. Of two runs only the
// better one counts for it.
type Rank uint8

// Ranks of features that a run either has or not: edges, buckets of loop counts, and the
// ways that comparisons went.
const (
	// Once is the rank of what one of several runs of an input had and another had not.
	Once Rank = 1
	// Always is the rank of what all of them had.
	Always Rank = 2
)

// Ranks of how near a comparison came to going a way that it may never have gone.
const (
	far     Rank = 1                  // the operands differ in their highest bit, or not all runs came there
	exactly      = 32                 // distances up to this one have a rank each
	there   Rank = far + 59 + exactly // it went that way
)

// nearness returns the rank of a distance: larger ones share one with all of the same
// number of bits.
func nearness(distance uint64) Rank {
	switch {
	case distance == 0:
		return there
	case distance <= exactly:
		return there - Rank(distance)
	}
	return far + Rank(64-mathbits.Len64(distance))
}

// Profile is what a run had of each feature of a table, packed: features in ascending
// order, those without any left out. It can be compared with ==.
//
// The features of a table are the bits of its feature vector, then four for each
// comparison: whether it went one way, not taken and taken, and how near it came to
// that.
type Profile string

// Features returns how many features there are in profiles of a table.
func (t *Table) Features() int { return 8*t.Len() + perComparison*len(t.Comparisons) }

const perComparison = 4 // went one way, the other way; how near to either

// All yields the features and their ranks, in ascending order. What is no profile that a
// Profiler made yields what can be read of it.
func (p Profile) All() iter.Seq2[int, Rank] {
	return func(yield func(int, Rank) bool) {
		feature := -1
		for len(p) > 0 {
			// Varints are decoded here, since package binary reads none from a string.
			step, shift, n := 0, 0, 0
			for n < len(p) && n < binary.MaxVarintLen32 {
				c := p[n]
				step |= int(c&0x7f) << shift
				shift, n = shift+7, n+1
				if c < 0x80 {
					break
				}
			}
			if feature += step>>1 + 1; step&1 == 0 {
				if p = p[n:]; !yield(feature, Always) {
					return
				}
				continue
			}
			if n == len(p) {
				return
			}
			rank := Rank(p[n])
			if p = p[n+1:]; !yield(feature, rank) {
				return
			}
		}
	}
}

// Ranks are the ranks of all features of a table. Profiles are merged into it.
type Ranks []Rank

// Merge raises ranks to those of a profile and reports whether that made a difference.
// Features beyond the end of r are left out.
func (r Ranks) Merge(p Profile) bool {
	grown := false
	for feature, rank := range p.All() {
		if feature < len(r) && rank > r[feature] {
			r[feature], grown = rank, true
		}
	}
	return grown
}

// Profile packs ranks.
func (r Ranks) Profile() Profile {
	var b []byte
	last := -1
	for feature, rank := range r {
		if rank == 0 {
			continue
		}
		step := uint64(feature-last-1) << 1
		last = feature
		if rank == Always {
			b = binary.AppendUvarint(b, step)
			continue
		}
		b = append(binary.AppendUvarint(b, step|1), byte(rank))
	}
	return Profile(b)
}

// Profiler makes profiles of an input from one or more runs of it. It is not safe for
// concurrent use.
type Profiler struct {
	table *Table
	runs  int
	had   Ranks // by all runs so far
	has   Ranks // by the run at hand
}

// NewProfiler returns a profiler for runs of a table's target.
func NewProfiler(t *Table) *Profiler {
	n := t.Features()
	return &Profiler{table: t, had: make(Ranks, n), has: make(Ranks, n)}
}

// Reset forgets the runs of the last input.
func (p *Profiler) Reset() {
	p.runs = 0
	clear(p.had)
}

// Add adds a run: its feature vector and what it compared, which may be empty.
func (p *Profiler) Add(features []byte, compared []Compared) {
	clear(p.has)
	vector := min(len(features), p.table.Len())
	eachBit(features[:vector], func(bit int) { p.has[bit] = Always })
	for _, c := range compared {
		if c.Site >= 0 && c.Site < len(p.table.Comparisons) {
			p.compare(c)
		}
	}
	if p.runs++; p.runs == 1 {
		copy(p.had, p.has)
		return
	}
	for i, has := range p.has {
		p.had[i] = p.both(i, p.had[i], has)
	}
}

func (p *Profiler) compare(c Compared) {
	site := &p.table.Comparisons[c.Site]
	at := p.has[8*p.table.Len()+perComparison*c.Site:][:perComparison]
	for way, taken := range [...]bool{false, true} {
		rank := nearness(site.Distance(c, taken))
		if rank == there {
			at[way] = Always
		}
		at[2+way] = max(at[2+way], rank)
	}
}

// both returns the rank of a feature that has one in earlier runs and one in the last.
func (p *Profiler) both(feature int, had, has Rank) Rank {
	switch {
	case had == 0 && has == 0:
		return 0
	case had != 0 && has != 0:
		return min(had, has)
	case p.table.IsNearness(feature):
		return far
	}
	return Once
}

// IsNearness reports whether a feature of profiles says how near a comparison came to
// going a way.
func (t *Table) IsNearness(feature int) bool {
	feature -= 8 * t.Len()
	return feature >= 0 && feature%perComparison >= 2
}

// Profile packs what the runs since Reset had. Features that only some of them had rank
// below those that all had, so that an input that always has them is preferred, and one
// that had them once is better than none.
func (p *Profiler) Profile() Profile { return p.had.Profile() }

func eachBit(features []byte, do func(bit int)) {
	for i, b := range features {
		for ; b != 0; b &= b - 1 {
			do(8*i + mathbits.TrailingZeros8(b))
		}
	}
}
