package solve

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// bringEntries gives the input entries under keys that its run looked up, in maps of
// which inputs bring entries. Keys that were not found are tried at once: what is
// behind a lookup that finds something is another way, solved when that is kept. Where
// such a key is not legal, the input is returned with one that is, which Study copies
// to where the key comes from. Entries of arrays were found before; with one of its
// own the input chooses what the program reads there, so it is returned with these.
func (s *Solver) bringEntries(ctx context.Context, in *corpus.Input, keys []cover.Lookup) (*corpus.Input, error) {
	own, all := in, in
	for _, k := range keys {
		m := s.fillable(all, k)
		if m == nil {
			continue
		}
		e := mutate.FreshEntry(m, k.Key)
		if k.Found || !bytes.Equal(e.Key, k.Key) {
			own = s.withEntry(own, e)
		}
		all = s.withEntry(all, e)
	}
	if all == in {
		return in, nil
	}
	s.stats.Runs++
	return own, s.engine.Try(ctx, all)
}

// fillable returns the map that an entry would go into under a key that was looked up,
// nil where the input may not or need not bring one.
func (s *Solver) fillable(in *corpus.Input, k cover.Lookup) *corpus.MapShape {
	i := slices.IndexFunc(s.shape.Maps, func(m corpus.MapShape) bool { return m.Name == k.Map })
	if i < 0 || s.shape.Maps[i].Fuzz == nil || len(k.Key) != s.shape.Maps[i].KeySize {
		return nil
	}
	m, n := &s.shape.Maps[i], 0
	for _, e := range in.Maps {
		if e.Map != k.Map {
			continue
		}
		if n++; bytes.Equal(e.Key, k.Key) {
			return nil
		}
	}
	if n >= m.Fuzz.Entries || k.Found && !(strings.HasSuffix(m.Kind, "array") && s.empty(m, k.Key)) {
		return nil // what is found in other maps, runs or the target file put there
	}
	return m
}

// empty reports whether a map has no initial value under a key.
func (s *Solver) empty(m *corpus.MapShape, key []byte) bool {
	return !slices.ContainsFunc(m.Keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// withEntry returns a copy of in with an entry, or in where there is one like it.
func (s *Solver) withEntry(in *corpus.Input, e corpus.MapEntry) *corpus.Input {
	if slices.ContainsFunc(in.Maps, func(o corpus.MapEntry) bool { return o.Map == e.Map && bytes.Equal(o.Key, e.Key) }) {
		return in
	}
	out := in.Clone()
	out.Maps = append(out.Maps, e)
	if s.shape.CheckEntries(out) != nil {
		return in
	}
	return out
}
