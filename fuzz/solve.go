package fuzz

import (
	"context"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
)

// solving is a worker's use of comparisons: every new entry is run once more to see
// what it compares, and what was never the other way is solved. It implements
// solve.Engine.
type solving struct {
	worker   *worker
	comparer Comparer
	solver   *solve.Solver

	fresh    []*corpus.Input // entries that have not been solved
	compared []cover.Compared
	keys     []cover.Lookup
	sides    [][2]bool // of each comparison, seen not taken and taken
	passed   []bool    // edges, while stale is not set
	stale    bool
}

// newSolving returns nil where the executor cannot tell what is compared, or nothing is.
func newSolving(w *worker) *solving {
	comparer, ok := w.exec.(Comparer)
	table := w.run.target.Table()
	if opts := &w.run.opts; opts.Solve.Without&solve.Every == solve.Every && opts.NoScores {
		return nil
	}
	if !ok || len(table.Comparisons) == 0 {
		return nil
	}
	s := &solving{worker: w, comparer: comparer, sides: make([][2]bool, len(table.Comparisons)), stale: true}
	s.solver = solve.New(w.run.target.Shape(), table, s, w.run.opts.Solve)
	return s
}

// entry is told of each new one.
func (s *solving) entry(in *corpus.Input) {
	if s != nil {
		s.fresh = append(s.fresh, in)
		s.stale = true
	}
}

const (
	// studyShare says that one execution in so many may be spent on taking inputs
	// apart: in a batch an execution costs a fraction of one that runs alone.
	studyShare = 32
	// studyCredit is how many may be spent before.
	studyCredit = 1 << 17
)

// solve works on the entries that have come since the last call, and on those that
// come of them.
func (s *solving) solve(ctx context.Context) error {
	if s == nil {
		return nil
	}
	defer func() { s.worker.solved.Store(uint64(s.solver.Stats().Solved)) }()
	for ctx.Err() == nil {
		switch {
		case len(s.fresh) > 0:
			in := s.fresh[0]
			s.fresh = s.fresh[1:]
			if err := s.solver.Solve(ctx, in); err != nil {
				return err
			}
		case s.solver.Pending() && s.solver.Stats().Runs*studyShare <= s.worker.execs.Load()+studyCredit:
			if err := s.solver.Study(ctx); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// sweep fills half of a batch with inputs in which a field takes every value.
func (s *solving) sweep(batch *Batch, limit int) {
	if s == nil {
		return
	}
	for len(batch.Slots()) < limit/2 {
		in := batch.Next()
		if in == nil || !s.solver.Sweep(in) {
			return
		}
		batch.Commit()
	}
}

// Compare implements solve.Engine.
func (s *solving) Compare(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error) {
	w := s.worker
	if err := w.spend(uint64(len(in.Steps))); err != nil {
		return nil, nil, err
	}
	var err error
	w.lane.Alone(in)
	s.compared, err = s.comparer.Compare(ctx, in, s.compared[:0])
	w.lane.AloneRan()
	if err != nil {
		return nil, nil, fmt.Errorf("running an input to see what it compares: %w", err)
	}
	s.keys = s.keys[:0]
	if logger, ok := s.comparer.(KeyLogger); ok {
		s.keys = logger.Keys(s.keys)
	}
	for _, c := range s.compared {
		site := &w.run.target.Table().Comparisons[c.Site]
		s.sides[c.Site][sideOf(site.Holds(c.A, c.B))] = true
	}
	return s.compared, s.keys, nil
}

// Try implements solve.Engine.
func (s *solving) Try(ctx context.Context, in *corpus.Input) error {
	if s.worker.run.exhausted() {
		return errExecs
	}
	return s.worker.try(ctx, in)
}

// Open implements solve.Engine. Where a side has no edge of its own, it is what was
// seen compared that counts.
func (s *solving) Open(site int, taken bool) bool {
	table := s.worker.run.target.Table()
	c := &table.Comparisons[site]
	edge := c.Fall
	if taken {
		edge = c.Taken
	}
	if edge < 0 || table.Edges[edge].Skipped != "" {
		return !s.sides[site][sideOf(taken)]
	}
	if s.stale {
		s.passed, s.stale = table.Expand(s.passed, s.worker.seen.Bytes()), false
	}
	return !s.passed[edge]
}

func sideOf(taken bool) int {
	if taken {
		return 1
	}
	return 0
}
