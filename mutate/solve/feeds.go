package solve

import (
	"context"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Place is a run of bytes of an input.
type Place struct {
	// Part is "packet", "metadata", "context", "chance" or "map".
	Part string
	// Step is the step that it is in, or for a map the index of the entry.
	Step int
	// Offset and Size are in bytes.
	Offset, Size int
}

var partNames = [parts]string{"packet", "metadata", "context", "chance", "map"}

// Compare runs an input and returns what it compared and looked up, which is valid
// until the next call.
type Compare func(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error)

// Feeds changes the bytes of an input one after the other and returns, for each of
// the sites, the runs of bytes on which its operands depend.
func Feeds(ctx context.Context, shape *corpus.Shape, table *cover.Table, in *corpus.Input, sites []int, compare Compare) (map[int][]Place, error) {
	wanted := make([]bool, len(table.Comparisons))
	for _, i := range sites {
		wanted[i] = true
	}
	s := New(shape, table, &watcher{compare, wanted}, Options{})
	compared, keys, err := s.compare(ctx, in)
	if err != nil {
		return nil, err
	}
	st := newStudy(s, in, compared, keys)
	if err := st.flip(ctx); err != nil {
		return nil, err
	}
	feeds := map[int][]Place{}
	for _, sub := range st.subjects {
		for _, side := range sub.deps {
			for _, p := range side {
				feeds[sub.Site] = extended(feeds[sub.Site], p)
			}
		}
	}
	return feeds, nil
}

// KeyFeeds changes the bytes of an input one after the other and returns the runs of
// bytes on which the key of a lookup, by its index among those of the input, depends.
func KeyFeeds(ctx context.Context, shape *corpus.Shape, table *cover.Table, in *corpus.Input, lookup int, compare Compare) ([]Place, error) {
	s := New(shape, table, &watcher{compare, make([]bool, len(table.Comparisons))}, Options{})
	compared, keys, err := s.compare(ctx, in)
	if err != nil {
		return nil, err
	}
	st := newStudy(s, in, compared, keys)
	if err := st.flip(ctx); err != nil {
		return nil, err
	}
	var feeds []Place
	for _, p := range st.moves[lookup] {
		feeds = extended(feeds, p)
	}
	return feeds, nil
}

// extended adds a byte to runs of bytes, in ascending order within an operand.
func extended(list []Place, p place) []Place {
	for i := range list {
		q := &list[i]
		if q.Part != partNames[p.part] || q.Step != p.index {
			continue
		}
		if p.at >= q.Offset && p.at < q.Offset+q.Size {
			return list
		}
		if p.at == q.Offset+q.Size {
			q.Size++
			return list
		}
	}
	return append(list, Place{Part: partNames[p.part], Step: p.index, Offset: p.at, Size: p.size})
}

// watcher is an Engine that only looks: all of the wanted comparisons are of interest.
type watcher struct {
	compare Compare
	wanted  []bool
}

func (w *watcher) Compare(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error) {
	return w.compare(ctx, in)
}

func (w *watcher) Try(context.Context, *corpus.Input) error { return nil }

func (w *watcher) Open(site int, _ bool) bool { return w.wanted[site] }
