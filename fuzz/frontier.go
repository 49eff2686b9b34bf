package fuzz

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
)

// Pruner is a Target that knows of edges that no run can pass.
type Pruner interface {
	// Unreachable says for each edge of the table whether it was removed when the
	// program was loaded; nil where that cannot be told.
	Unreachable() ([]bool, error)
}

// Frontier is how far inputs get into a program.
type Frontier struct {
	// Passed of Total observable edges are passed; Unreachable of the others were
	// removed when the program was loaded.
	Passed, Total, Unreachable int
	// Branches are the edges that no input passes, the nearest first: those that
	// inputs come by, by distance, then those that none comes to, then the unreachable.
	Branches []Branch
}

// Saturated reports whether no edge is left that could be passed.
func (f *Frontier) Saturated() bool { return f.Passed+f.Unreachable >= f.Total }

// Branch is an edge that no input passes.
type Branch struct {
	// Edge is the index in the table.
	Edge int
	// Unreachable says that no run can pass it.
	Unreachable bool
	// Reached says that some input comes to the branch.
	Reached bool
	// Comparison is what is compared there, nil where that cannot be observed, and
	// Taken the way that it never goes.
	Comparison *cover.Comparison
	Taken      bool
	// Evaluated says that Nearest, the operands that come nearest to that, with their
	// Distance, are known; Input is the index of the input that has them.
	Evaluated bool
	Nearest   cover.Compared
	Distance  uint64
	Input     int
	// Feeds are the bytes of that input on which the operands depend.
	Feeds []solve.Place
	// Lookup is the key that was asked for where it is whether a map has an entry that is
	// compared, nil elsewhere. Of such a Branch Nearest says nothing, Distance is the
	// number of bits in which the key differs from the nearest one that the map has, and
	// Wanted lists keys that it has, the nearest first, where an entry is wanted.
	Lookup *cover.Lookup
	Wanted [][]byte

	lookup int // its index among those of Input
}

// maxFed bounds the inputs whose bytes are changed to see what feeds a comparison.
const maxFed = 32

// FindFrontier runs inputs alone, on an executor of the target, and lists what they do
// not reach. Without a Comparer it cannot say why.
func FindFrontier(ctx context.Context, target Target, exec Executor, inputs []*corpus.Input) (*Frontier, error) {
	f := &finder{target: target, exec: exec, table: target.Table(), seen: cover.NewSeen(target.Table().Len())}
	f.nearest = make([][2]Branch, len(f.table.Comparisons))
	f.entries = make([][2]Branch, len(f.table.Entries))
	for i, in := range inputs {
		if err := f.run(ctx, i, in); err != nil {
			return nil, fmt.Errorf("running input %d: %w", i, err)
		}
	}
	var gone []bool
	if p, ok := target.(Pruner); ok {
		var err error
		if gone, err = p.Unreachable(); err != nil {
			return nil, fmt.Errorf("asking which edges can be reached: %w", err)
		}
	}
	frontier := f.list(gone)
	return frontier, f.feed(ctx, frontier, inputs)
}

type finder struct {
	target  Target
	exec    Executor
	table   *cover.Table
	seen    *cover.Seen
	nearest [][2]Branch // by comparison, not taken and taken
	entries [][2]Branch // of Table.Entries likewise
}

func (f *finder) run(ctx context.Context, index int, in *corpus.Input) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	out, err := f.exec.Alone(ctx, in, corpus.HaveCover)
	if err != nil {
		return err
	}
	f.seen.Merge(out.Cover)
	comparer, ok := f.exec.(Comparer)
	if !ok {
		return nil
	}
	compared, err := comparer.Compare(ctx, in, nil)
	if err != nil {
		return err
	}
	var keys []cover.Lookup
	if logger, ok := f.exec.(KeyLogger); ok {
		keys = logger.Keys(nil)
	}
	for _, c := range compared {
		f.note(index, c)
	}
	if len(keys) > 0 {
		f.noteEntries(index, in, f.table.Expand(nil, out.Cover), keys)
	}
	return nil
}

// note keeps the nearest operands for the side that was not gone.
func (f *finder) note(input int, c cover.Compared) {
	site := &f.table.Comparisons[c.Site]
	taken := !site.Holds(c.A, c.B)
	best, distance := &f.nearest[c.Site][sideOf(taken)], site.Distance(c, taken)
	if !best.Evaluated || best.Distance > distance {
		*best = Branch{Evaluated: true, Nearest: c, Distance: distance, Input: input}
	}
}

func (f *finder) list(gone []bool) *Frontier {
	passed := f.table.Expand(nil, f.seen.Bytes())
	sites := map[int]*Branch{} // by edge
	add := func(comparisons []cover.Comparison, nearest [][2]Branch) {
		for i := range comparisons {
			c := &comparisons[i]
			for side, edge := range [2]int{c.Fall, c.Taken} {
				if edge >= 0 {
					b := nearest[i][side]
					b.Comparison, b.Taken = c, side == 1
					sites[edge] = &b
				}
			}
		}
	}
	add(f.table.Comparisons, f.nearest)
	add(f.table.Entries, f.entries)
	from := f.reached(passed)
	frontier := &Frontier{Total: f.table.Observable()}
	for i := range f.table.Edges {
		e := &f.table.Edges[i]
		if e.Skipped != "" {
			continue
		}
		if passed[i] {
			frontier.Passed++
			continue
		}
		b := Branch{}
		if site := sites[i]; site != nil {
			b = *site
		}
		b.Edge, b.Unreachable = i, gone != nil && gone[i]
		b.Reached = b.Evaluated || from[branchAt{e.Func, e.From}]
		if b.Unreachable {
			frontier.Unreachable++
		}
		frontier.Branches = append(frontier.Branches, b)
	}
	slices.SortStableFunc(frontier.Branches, func(a, b Branch) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Distance, b.Distance))
	})
	return frontier
}

type branchAt struct {
	fn string
	at int
}

// reached returns the branches of which one edge was passed.
func (f *finder) reached(passed []bool) map[branchAt]bool {
	from := map[branchAt]bool{}
	for i := range f.table.Edges {
		if e := &f.table.Edges[i]; passed[i] && e.From >= 0 {
			from[branchAt{e.Func, e.From}] = true
		}
	}
	return from
}

func (b *Branch) rank() int {
	switch {
	case b.Unreachable:
		return 3
	case b.Evaluated:
		return 0
	case b.Reached:
		return 1
	}
	return 2
}

// feed finds out which bytes the operands of the nearest evaluations depend on.
func (f *finder) feed(ctx context.Context, frontier *Frontier, inputs []*corpus.Input) error {
	comparer, ok := f.exec.(Comparer)
	if !ok {
		return nil
	}
	compare := func(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error) {
		compared, err := comparer.Compare(ctx, in, nil)
		if logger, ok := f.exec.(KeyLogger); ok && err == nil {
			return compared, logger.Keys(nil), nil
		}
		return compared, nil, err
	}
	done := map[int]map[int][]solve.Place{} // by input and comparison
	asked := 0
	for i := range frontier.Branches {
		b := &frontier.Branches[i]
		if !b.Evaluated || b.Unreachable {
			continue
		}
		var err error
		switch {
		case b.Lookup != nil && asked < maxFed:
			asked++
			b.Feeds, err = solve.KeyFeeds(ctx, f.target.Shape(), f.table, inputs[b.Input], b.lookup, compare)
		case b.Lookup == nil && done[b.Input] == nil && len(done) < maxFed:
			done[b.Input], err = solve.Feeds(ctx, f.target.Shape(), f.table, inputs[b.Input], frontier.sites(b.Input), compare)
		}
		if err != nil {
			return fmt.Errorf("seeing what feeds comparisons: %w", err)
		}
		if b.Lookup == nil {
			b.Feeds = done[b.Input][b.Nearest.Site]
		}
	}
	return nil
}

// sites returns the comparisons to which an input comes nearest.
func (f *Frontier) sites(input int) []int {
	var list []int
	for i := range f.Branches {
		if b := &f.Branches[i]; b.Evaluated && b.Lookup == nil && b.Input == input {
			list = append(list, b.Nearest.Site)
		}
	}
	return list
}
