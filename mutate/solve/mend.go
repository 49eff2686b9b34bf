package solve

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// A change that reaches a comparison may spoil another that comes before it: a
// program's own checksum, a length that it checks. Where that other one can be solved,
// it is, so that it goes as it went before.

// way is how a comparison went in a run.
type way uint8

const (
	unseen way = iota
	fell
	took
	both
)

// remember notes how the comparisons of an input go that is about to be changed.
func (s *Solver) remember(compared []cover.Compared) {
	clear(s.ways)
	for _, c := range compared {
		s.ways[c.Site] |= s.wayOf(c)
	}
}

func (s *Solver) wayOf(c cover.Compared) way {
	if s.sites[c.Site].Holds(c.A, c.B) {
		return took
	}
	return fell
}

const (
	// maxMends bounds what is tried to mend one comparison.
	maxMends = 3
	// maxSpoiled bounds how many comparisons are mended for one change, each of which may
	// spoil another: lengths of layers that contain each other.
	maxSpoiled = 6
)

// mend applies edits that did not reach a goal, makes the first comparison that goes
// another way because of them go as before, and tries that; then what that spoiled.
func (s *Solver) mend(ctx context.Context, in *corpus.Input, g goal, edits []edit) error {
	changed, kept := apply(s.shape, in, edits...), slices.Clone(edits)
	for range maxSpoiled {
		if changed == nil {
			return nil
		}
		compared, _, err := s.compare(ctx, changed)
		if err != nil {
			return err
		}
		spoiled, ok := s.spoiled(compared, g)
		if !ok {
			return nil
		}
		more, err := s.mendOne(ctx, changed, g, spoiled, kept)
		if err != nil || more == nil || !s.engine.Open(g.Site, g.taken) {
			return err
		}
		changed, kept = apply(s.shape, changed, more...), append(kept, more...)
	}
	return nil
}

// spoiled returns the first comparison that goes another way than in the input that was
// remembered, with the way that it went there as the goal.
func (s *Solver) spoiled(compared []cover.Compared, g goal) (goal, bool) {
	for _, c := range compared {
		before := s.ways[c.Site]
		if c.Site != g.Site && (before == fell || before == took) && before != s.wayOf(c) {
			return goal{c, before == took}, true
		}
	}
	return goal{}, false
}

// mendOne tries for g what makes a spoiled comparison go as before and leaves the kept
// edits as they are. It returns the first of that, nil where there is nothing.
func (s *Solver) mendOne(ctx context.Context, changed *corpus.Input, g, spoiled goal, kept []edit) ([]edit, error) {
	var first []edit
	tries := 0
	for _, more := range s.changes(changed, spoiled) {
		if tries == maxMends || !s.engine.Open(g.Site, g.taken) {
			break
		}
		if mended := apply(s.shape, changed, more...); mended == nil || !holds(mended, kept) {
			continue
		}
		if tries++; first == nil {
			first = more
		}
		if err := s.try(ctx, changed, g, more); err != nil {
			return nil, err
		}
	}
	return first, nil
}
