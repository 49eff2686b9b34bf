package solve

import (
	"bytes"
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// keyByte is a byte of a key that a run looked up.
type keyByte struct{ lookup, at int }

// maxKeys bounds the keys that are copied into one input for one lookup.
const maxKeys = 8

func cloneKeys(keys []cover.Lookup) []cover.Lookup {
	list := slices.Clone(keys)
	for i := range list {
		list[i].Key = bytes.Clone(list[i].Key)
	}
	return list
}

// noteKeys sees which bytes of keys a byte of the input is, and which keys it is a
// part of.
func (st *study) noteKeys(keys []cover.Lookup, p place, mask byte) {
	if len(keys) != len(st.keys) {
		return // another way through the program
	}
	for i, k := range keys {
		before := &st.keys[i]
		if !alike(&k, before) {
			continue
		}
		if n := len(st.moves[i]); !bytes.Equal(k.Key, before.Key) && (n == 0 || st.moves[i][n-1] != p) {
			st.moves[i] = append(st.moves[i], p)
		}
		for at := range k.Key {
			if k.Key[at]^before.Key[at] == mask {
				st.feeds[keyByte{i, at}] = p
			}
		}
	}
}

// missed reports whether a run asked for a key that a map has not, of a map that has
// others, and counts that against what may be studied for it.
func (s *Solver) missed(in *corpus.Input, keys []cover.Lookup) bool {
	missed := false
	for _, k := range keys {
		if !k.Found && s.asked[k.Map] < maxStudied && len(ExistingKeys(s.shape, in, k.Map)) > 0 {
			s.asked[k.Map]++
			missed = true
		}
	}
	return missed
}

// lookUp copies keys that a map has to where the keys that were not found come from,
// and where they come from nowhere as they are, makes the computation end with them.
func (st *study) lookUp(ctx context.Context) error {
	for i, k := range st.keys {
		if k.Found {
			continue
		}
		tried := 0
		for _, key := range ExistingKeys(st.shape, st.in, k.Map) {
			edits := st.rekeyed(i, key)
			if len(edits) == 0 || tried == maxKeys {
				continue
			}
			tried++
			if err := st.put(ctx, edits); err != nil {
				return err
			}
		}
		if tried > 0 {
			continue
		}
		if err := st.reckon(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// ExistingKeys lists keys that a map has before the first step of an input; of a table, such as
// one of programs, those that are filled.
func ExistingKeys(shape *corpus.Shape, in *corpus.Input, name string) [][]byte {
	var list [][]byte
	for i := range in.Maps {
		if in.Maps[i].Map == name {
			list = append(list, in.Maps[i].Key)
		}
	}
	for _, maps := range [...][]corpus.MapShape{shape.Maps, shape.Tables} {
		for i := range maps {
			if maps[i].Name == name {
				list = append(list, maps[i].Keys...)
			}
		}
	}
	return list
}

// rekeyed returns the edits that make a lookup ask for a key; nil where some byte of
// it does not come from the input.
func (st *study) rekeyed(lookup int, key []byte) []edit {
	now := st.keys[lookup].Key
	if len(key) != len(now) {
		return nil
	}
	var edits []edit
	for at, v := range key {
		if v == now[at] {
			continue
		}
		p, ok := st.feeds[keyByte{lookup, at}]
		if !ok && at < st.prefix(st.keys[lookup].Map) {
			continue
		}
		if !ok {
			return nil
		}
		// The byte may be negated or have a constant added without carry on its way.
		e := edit{place: p, data: []byte{v ^ now[at]}}
		if b := p.bytes(st.in); b != nil {
			e.data[0] ^= b[0]
		}
		edits = append(edits, e)
	}
	return edits
}

// prefix is how many bytes of a map's keys say how many of the others count.
func (st *study) prefix(name string) int {
	for i := range st.shape.Maps {
		if m := &st.shape.Maps[i]; m.Name == name && m.Kind == "lpm_trie" {
			return 4
		}
	}
	return 0
}

// put runs the input with edits, with lengths and checksums right and as they are.
func (st *study) put(ctx context.Context, edits []edit) error {
	changed := apply(st.shape, st.in, edits...)
	if changed == nil {
		return nil
	}
	if sound := repaired(st.shape, changed, edits); sound != nil {
		st.stats.Runs++
		if err := st.engine.Try(ctx, sound); err != nil {
			return err
		}
	}
	st.stats.Runs++
	return st.engine.Try(ctx, changed)
}
