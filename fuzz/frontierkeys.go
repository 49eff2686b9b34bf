package fuzz

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
)

// maxWanted bounds the keys that are listed for a branch.
const maxWanted = 4

// noteEntries keeps, for the branches on whether a map has an entry that an input went
// through one way only, the key that comes nearest to the other.
func (f *finder) noteEntries(index int, in *corpus.Input, passed []bool, keys []cover.Lookup) {
	for i := range f.table.Entries {
		c := &f.table.Entries[i]
		for side, edge := range [2]int{c.Fall, c.Taken} {
			other := [2]int{c.Taken, c.Fall}[side]
			if edge < 0 || other < 0 || passed[edge] || !passed[other] {
				continue
			}
			// Taken is to be without an entry where it is equality that is asked.
			entry := (side == 1) != (c.Relation == cover.Equal)
			for n := range keys {
				if k := &keys[n]; k.Map == c.A.Name && k.Found != entry {
					f.nearer(&f.entries[i][side], index, n, k, f.wantedKeys(in, k, entry))
				}
			}
		}
	}
}

// nearer makes best that lookup unless it is nearer already.
func (f *finder) nearer(best *Branch, index, lookup int, k *cover.Lookup, wanted [][]byte) {
	distance := uint64(1)
	switch {
	case len(wanted) > 0:
		distance = max(differing(wanted[0], k.Key), 1)
	case !k.Found:
		distance = uint64(8 * len(k.Key)) // the map has no key that is known
	}
	if best.Evaluated && best.Distance <= distance {
		return
	}
	for i := range wanted {
		wanted[i] = bytes.Clone(wanted[i])
	}
	*best = Branch{
		Evaluated: true, Distance: distance, Input: index, Wanted: wanted, lookup: lookup,
		Lookup: &cover.Lookup{Map: k.Map, Key: bytes.Clone(k.Key), Found: k.Found},
	}
}

// wantedKeys lists keys that the map has, those nearest to what was asked for first;
// none where no entry is wanted.
func (f *finder) wantedKeys(in *corpus.Input, k *cover.Lookup, entry bool) [][]byte {
	if !entry {
		return nil
	}
	list := slices.DeleteFunc(solve.ExistingKeys(f.target.Shape(), in, k.Map), func(key []byte) bool { return len(key) != len(k.Key) })
	slices.SortStableFunc(list, func(a, b []byte) int {
		return cmp.Compare(differing(a, k.Key), differing(b, k.Key))
	})
	return list[:min(len(list), maxWanted)]
}

// differing counts the bits in which two keys of the same length differ.
func differing(a, b []byte) uint64 {
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return uint64(n)
}
