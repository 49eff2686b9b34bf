package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// maxAsked is how many inputs are run at most to see what a target does not get past
// while it is being fuzzed.
const maxAsked = 4096

// blockedOf lists what no input of the corpus in dir gets past, the nearest first. It has
// an executor of its own, so it may be asked while the target is fuzzed.
func blockedOf(ctx context.Context, s *subject, dir string) ([]campaign.Blocked, error) {
	inputs, err := askedInputs(s, dir)
	if err != nil {
		return nil, err
	}
	frontier, err := findFrontier(ctx, s, inputs)
	if err != nil {
		return nil, fmt.Errorf("finding out what no input gets past: %w", err)
	}
	list := make([]campaign.Blocked, 0, len(frontier.Branches))
	for i := range frontier.Branches {
		list = append(list, blockedAt(s, &frontier.Branches[i]))
	}
	return list, nil
}

// askedInputs reads the corpus. What cannot be read or run is left out: who runs the
// corpus says so.
func askedInputs(s *subject, dir string) ([]*corpus.Input, error) {
	path := filepath.Join(dir, "corpus")
	if entries, err := os.ReadDir(path); err == nil && len(entries) > maxAsked {
		return nil, fmt.Errorf("%d inputs are too many to run them again and again: bpffuzz frontier lists the branches", len(entries))
	}
	all, err := readInputs(path, func(error) {})
	if err != nil {
		return nil, err
	}
	var inputs []*corpus.Input
	for _, one := range all {
		if in, err := mutate.Fit(s.target.Shape(), one.in); err == nil {
			inputs = append(inputs, in)
		}
	}
	if len(inputs) == 0 {
		return nil, errors.New("no input can be run")
	}
	return inputs, nil
}

func blockedAt(s *subject, b *fuzz.Branch) campaign.Blocked {
	edge := &s.target.Table().Edges[b.Edge]
	one := campaign.Blocked{Where: edge.FromPos.String(), Unreachable: b.Unreachable, Reached: b.Reached}
	if one.Where == "" {
		one.Where = fmt.Sprintf("%s, instruction %d", edge.Func, max(edge.From, edge.To))
	}
	if b.Comparison != nil && !b.Unreachable {
		one.Wanted = wantedText(b.Comparison, b.Taken)
	}
	if b.Evaluated && !b.Unreachable {
		one.Nearest = nearestText(b)
	}
	return one
}
