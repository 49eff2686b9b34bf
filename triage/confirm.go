package triage

import (
	"context"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const (
	// A failure is confirmed when 3 of 5 runs fail. One that fails in nine runs of
	// ten passes with probability 0.99, one that fails in one of ten with 0.01.
	confirmRuns    = 5
	confirmFailing = 3
	// measureRuns is what reliability is given in.
	measureRuns = 10
)

// confirm runs in from the initial state until the failure is confirmed or not.
func (v *investigation) confirm(ctx context.Context, in *corpus.Input) error {
	failing := 0
	for range confirmRuns {
		f, _, err := v.afresh(ctx, in)
		if err != nil {
			return err
		}
		if f != nil {
			failing++
		}
	}
	if failing < confirmFailing {
		return fmt.Errorf("%s: %d of %d runs failed: %w", v.oracle, failing, confirmRuns, ErrUnconfirmed)
	}
	if failing < confirmRuns {
		v.attempts = confirmRuns - confirmFailing + 1
	}
	if v.recreates() {
		for _, what := range v.opts.Shape.Lasts() {
			v.note("%s cannot be put back: it was made anew before each run that confirms", what)
		}
	}
	return nil
}

// recreates reports whether runs need programs and maps made anew.
func (v *investigation) recreates() bool {
	return v.opts.Recreate != nil && v.opts.Shape != nil && len(v.opts.Shape.Lasts()) > 0
}

// afresh looks at in with nothing left of earlier runs.
func (v *investigation) afresh(ctx context.Context, in *corpus.Input) (*Failure, *corpus.Outcome, error) {
	if v.recreates() {
		if err := v.opts.Recreate(ctx); err != nil {
			return nil, nil, fmt.Errorf("making programs and maps anew to confirm a failure: %w", err)
		}
	}
	return v.look(ctx, in)
}

// measurement is how reliably an input fails. Failure and outcome are those of a
// failing run, if possible of one with the key that is pursued; nil without any.
type measurement struct {
	failing int
	failure *Failure
	out     *corpus.Outcome
}

func (v *investigation) measure(ctx context.Context, in *corpus.Input) (m measurement, err error) {
	same := false
	for range measureRuns {
		f, out, err := v.afresh(ctx, in)
		if err != nil {
			return m, err
		}
		if f == nil {
			continue
		}
		m.failing++
		if m.out == nil || !same && v.same(f, out) {
			m.failure, m.out, same = f, out, v.same(f, out)
		}
	}
	return m, nil
}
