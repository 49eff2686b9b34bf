package corpus

import (
	"bytes"
	"encoding/binary"
	mathbits "math/bits"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Entry is an input worth keeping with what it covered. It is immutable.
type Entry struct {
	Input *Input
	// Cover is the feature vector of the input alone.
	Cover []byte
	// Further are its further features; empty unless the entry is kept for them, or had
	// them told.
	Further cover.Further
	// Extra says that it is kept for these: others cover all that it covers.
	Extra bool
}

// Corpus is the set of entries that all workers share. It is safe for concurrent
// use; reading a Snapshot takes no lock.
type Corpus struct {
	mu       sync.Mutex
	entries  []*Entry
	seen     *cover.Seen
	owners   []uint32                 // how many entries have each bit of the feature vector
	further  cover.Further            // of all entries
	rare     [cover.MaxFurther]uint32 // how many entries have each further feature
	snapshot atomic.Pointer[Snapshot] // nil after a change, until somebody asks
}

// New returns an empty corpus for feature vectors of n bytes.
func New(n int) *Corpus {
	return &Corpus{seen: cover.NewSeen(n), owners: make([]uint32, 8*n)}
}

// Add keeps a copy of in if features has a bit that no entry has, and reports
// whether it did. The copy is returned.
func (c *Corpus) Add(in *Input, features []byte) (*Entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.seen.Adds(features) {
		return nil, false
	}
	return c.add(in, features), true
}

// AddFurther keeps a copy of in if it has a further feature that no entry has, and
// reports whether it did. There are never more such entries than features,
// cover.MaxFurther.
func (c *Corpus) AddFurther(in *Input, features []byte, further *cover.Further) (*Entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !further.Adds(&c.further) {
		return nil, false
	}
	e := &Entry{Input: in.Clone(), Cover: bytes.Clone(features), Further: *further, Extra: !c.seen.Adds(features)}
	c.further.Merge(further)
	further.Each(func(i int) { c.rare[i]++ })
	c.append(e)
	return e, true
}

// Force keeps a copy of in whatever it covers, so that there is something to
// mutate where a program has no edges that any seed reaches.
func (c *Corpus) Force(in *Input, features []byte) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(in, features)
}

func (c *Corpus) add(in *Input, features []byte) *Entry {
	e := &Entry{Input: in.Clone(), Cover: bytes.Clone(features)}
	c.append(e)
	return e
}

func (c *Corpus) append(e *Entry) {
	c.entries = append(c.entries, e)
	c.seen.Merge(e.Cover)
	if !e.Extra { // what is kept for other reasons makes no branch less rare
		eachBit(e.Cover, func(bit int) { c.owners[bit]++ })
	}
	c.snapshot.Store(nil)
}

// Snapshot returns the corpus as it stands. It never changes.
func (c *Corpus) Snapshot() *Snapshot {
	if s := c.snapshot.Load(); s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.weigh()
	c.snapshot.Store(s)
	return s
}

// Snapshot is a corpus at one moment, ready to pick from.
type Snapshot struct {
	entries []*Entry
	upTo    []uint64 // cumulative weights
	seen    []byte
}

// recent is how many of the newest entries are preferred. They are where the
// frontier is: what they reached has not been built upon yet.
const recent = 8

// Weights are fixed-point numbers with one unit of rarityUnit. An entry's weight is one unit, plus
// one unit divided by the number of owners for each bit that it has, so that the
// only way to a branch is tried as often as all ways to a well-trodden one
// together; the newest entries count recentFactor times. Of entries that are kept for
// further features, these are the bits, and what they weigh together is at most a
// furtherShare of what the others do: however many there are, edges come first.
const (
	rarityUnit   = 1 << 16
	recentFactor = 4
	furtherShare = 2
)

// weigh makes a snapshot. The caller holds mu.
func (c *Corpus) weigh() *Snapshot {
	n := len(c.entries)
	s := &Snapshot{entries: c.entries[:n:n], upTo: make([]uint64, n), seen: bytes.Clone(c.seen.Bytes())}
	sum, extra := uint64(0), uint64(0)
	newer := 0 // entries that are not extra, behind the one at hand
	for i := n - 1; i >= 0; i-- {
		e, weight := c.entries[i], uint64(rarityUnit)
		if e.Extra {
			e.Further.Each(func(i int) { weight += rarityUnit / uint64(c.rare[i]) })
			extra += weight
		} else {
			eachBit(e.Cover, func(bit int) { weight += rarityUnit / uint64(c.owners[bit]) })
			if newer++; newer <= recent {
				weight *= recentFactor
			}
			sum += weight
		}
		s.upTo[i] = weight
	}
	limit := max(sum/furtherShare, 1)
	total := uint64(0)
	for i, e := range c.entries {
		weight := s.upTo[i]
		if e.Extra && extra > limit {
			// Weights fit in 30 bits, and their sums in 40.
			weight = max(weight*(limit>>8)/max(extra>>8, 1), 1)
		}
		total += weight
		s.upTo[i] = total
	}
	return s
}

func eachBit(features []byte, do func(bit int)) {
	for i := 0; i+8 <= len(features); i += 8 {
		for word := binary.LittleEndian.Uint64(features[i:]); word != 0; word &= word - 1 {
			do(8*i + mathbits.TrailingZeros64(word))
		}
	}
}

// Len returns the number of entries.
func (s *Snapshot) Len() int { return len(s.entries) }

// Entries returns the entries in the order in which they came. The caller must
// not change the slice.
func (s *Snapshot) Entries() []*Entry { return s.entries }

// Seen returns the union of all feature vectors, which the caller must not change.
func (s *Snapshot) Seen() []byte { return s.seen }

// Pick returns an entry, chosen by rarity and recency with the random number r;
// nil from an empty snapshot.
func (s *Snapshot) Pick(r uint64) *Entry {
	if len(s.entries) == 0 {
		return nil
	}
	// The high half of the product maps r to [0, sum) without a division.
	at, _ := mathbits.Mul64(r, s.upTo[len(s.upTo)-1])
	return s.entries[sort.Search(len(s.upTo), func(i int) bool { return s.upTo[i] > at })]
}
