package solve

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

const (
	// maxInteger is the size of the largest key that is taken for an integer.
	maxInteger = 4
	// maxParts bounds the bytes of the input of which such a key is computed.
	maxParts = 4
)

// reckon makes a key that is computed from few bytes of the input, as the index of a
// tail call may be, one that the map has: each of the bytes in turn takes the value
// with which the key comes closest.
func (st *study) reckon(ctx context.Context, lookup int) error {
	now := &st.keys[lookup]
	if len(now.Key) > maxInteger || len(st.moves[lookup]) == 0 || len(st.moves[lookup]) > maxParts {
		return nil
	}
	forward := st.moves[lookup]
	backward := slices.Clone(forward) // which byte weighs most is not known
	slices.Reverse(backward)
	tried := 0
	for _, key := range ExistingKeys(st.shape, st.in, now.Map) {
		if len(key) != len(now.Key) || tried == maxKeys {
			continue
		}
		tried++
		edits, err := st.approach(ctx, lookup, integerOf(key), forward)
		if edits == nil && err == nil && len(forward) > 1 {
			edits, err = st.approach(ctx, lookup, integerOf(key), backward)
		}
		if edits != nil && err == nil {
			err = st.put(ctx, edits)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// approach returns the edits of bytes, in their order, that make a lookup ask for a
// key; nil where none were found.
func (st *study) approach(ctx context.Context, lookup int, wanted uint64, order []place) ([]edit, error) {
	var chosen []edit
	best := apart(integerOf(st.keys[lookup].Key), wanted)
	for _, p := range order {
		if p.bytes(st.in) == nil {
			continue
		}
		base := len(chosen)
		for v := 0; v <= 0xff && best > 0; v++ {
			edits := append(chosen[:base:base], edit{place: p, data: []byte{byte(v)}})
			key, ok, err := st.asks(ctx, lookup, edits)
			if err != nil {
				return nil, err
			}
			if d := apart(key, wanted); ok && d < best {
				best, chosen = d, edits
			}
		}
	}
	if best > 0 {
		return nil, nil
	}
	return chosen, nil
}

// asks returns the key that a lookup asks for when the input has edits.
func (st *study) asks(ctx context.Context, lookup int, edits []edit) (key uint64, ok bool, err error) {
	in := apply(st.shape, st.in, edits...)
	if in == nil {
		return 0, false, nil
	}
	_, keys, err := st.compare(ctx, in)
	if err != nil || lookup >= len(keys) || !alike(&keys[lookup], &st.keys[lookup]) {
		return 0, false, err
	}
	return integerOf(keys[lookup].Key), true, nil
}

// alike reports whether two lookups are of the same map.
func alike(a, b *cover.Lookup) bool { return a.Map == b.Map && len(a.Key) == len(b.Key) }

// integerOf reads a key of at most 8 bytes in the machine's byte order.
func integerOf(key []byte) uint64 {
	switch len(key) {
	case 1, 2, 4, 8:
		return load(key)
	}
	v := uint64(0)
	for i, b := range key {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }
