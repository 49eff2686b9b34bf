package solve

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// flakes reports whether operands may differ between two runs of one input.
func (s *Solver) flakes() bool { return len(s.shape.Chance) > 0 || len(s.shape.Lasts()) > 0 }

// twice is compare where operands flake: it runs an input twice and returns what came to
// the same. What differs is not the input's to decide, and would only be chased.
func (s *Solver) twice(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error) {
	compared, keys, err := s.compare(ctx, in)
	if err != nil || !s.flakes() {
		return compared, keys, err
	}
	first := make(map[evaluation]cover.Compared, len(compared))
	nth := map[evaluation]int{}
	for _, c := range compared {
		first[count(nth, c)] = c
	}
	if compared, keys, err = s.compare(ctx, in); err != nil {
		return nil, nil, err
	}
	clear(nth)
	compared = slices.DeleteFunc(compared, func(c cover.Compared) bool {
		before, ok := first[count(nth, c)]
		return !ok || before != c
	})
	return compared, keys, nil
}
