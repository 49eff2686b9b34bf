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
}

// Corpus is the set of entries that all workers share. It is safe for concurrent
// use; reading a Snapshot takes no lock.
type Corpus struct {
	mu       sync.Mutex
	entries  []*Entry
	seen     *cover.Seen
	owners   []uint32                 // how many entries have each bit of the feature vector
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

// Force keeps a copy of in whatever it covers, so that there is something to
// mutate where a program has no edges that any seed reaches.
func (c *Corpus) Force(in *Input, features []byte) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(in, features)
}

func (c *Corpus) add(in *Input, features []byte) *Entry {
	e := &Entry{Input: in.Clone(), Cover: bytes.Clone(features)}
	c.entries = append(c.entries, e)
	c.seen.Merge(features)
	eachBit(features, func(bit int) { c.owners[bit]++ })
	c.snapshot.Store(nil)
	return e
}

// Snapshot returns the corpus as it stands. It never changes.
func (c *Corpus) Snapshot() *Snapshot {
	if s := c.snapshot.Load(); s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := newSnapshot(c.entries, c.owners, c.seen)
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
// together; the newest entries count recentFactor times.
const (
	rarityUnit   = 1 << 16
	recentFactor = 4
)

func newSnapshot(entries []*Entry, owners []uint32, seen *cover.Seen) *Snapshot {
	s := &Snapshot{entries: entries[:len(entries):len(entries)], upTo: make([]uint64, len(entries)), seen: bytes.Clone(seen.Bytes())}
	sum := uint64(0)
	for i, e := range entries {
		weight := uint64(rarityUnit)
		eachBit(e.Cover, func(bit int) { weight += rarityUnit / uint64(owners[bit]) })
		if len(entries)-i <= recent {
			weight *= recentFactor
		}
		sum += weight
		s.upTo[i] = sum
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
