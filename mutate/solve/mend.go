package solve

import (
	"context"

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

// maxMends bounds what is tried to mend one change.
const maxMends = 3

// mend applies edits that did not reach a goal, makes the first comparison that goes
// another way because of them go as before, and tries that.
func (s *Solver) mend(ctx context.Context, in *corpus.Input, g goal, edits []edit) error {
	changed := apply(s.shape, in, edits...)
	if changed == nil {
		return nil
	}
	compared, _, err := s.compare(ctx, changed)
	if err != nil {
		return err
	}
	for _, c := range compared {
		before := s.ways[c.Site]
		if c.Site == g.Site || before != fell && before != took || before == s.wayOf(c) {
			continue
		}
		tries := 0
		for _, more := range s.changes(changed, goal{c, before == took}) {
			if tries == maxMends || !s.engine.Open(g.Site, g.taken) {
				break
			}
			if mended := apply(s.shape, changed, more...); mended == nil || !holds(mended, edits) {
				continue
			}
			tries++
			if err := s.try(ctx, changed, g, more); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}
