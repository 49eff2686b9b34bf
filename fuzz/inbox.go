package fuzz

import (
	"context"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Inbox hands inputs to a run that others found, on other machines for example. It is safe
// for concurrent use: any worker asks it between two batches.
type Inbox interface {
	// Take returns inputs that came since the last call, without waiting, and nil where
	// there are none, which is cheap. They must obey the target's shape. A worker runs them
	// before anything else, so there should not be more than a few hundred.
	Take() []*corpus.Input
	// Ran says that inputs of one Take were run. Those that cover something new were kept as
	// if they had been found here.
	Ran(inputs []*corpus.Input)
}

// receive runs what others found.
func (w *worker) receive(ctx context.Context) error {
	inbox := w.run.opts.Inbox
	if inbox == nil {
		return nil
	}
	inputs := inbox.Take()
	if len(inputs) == 0 {
		return nil
	}
	for _, in := range inputs {
		if ctx.Err() != nil {
			return nil // they count as not run
		}
		if err := w.try(ctx, in); err != nil {
			return fmt.Errorf("running an input of another machine: %w", err)
		}
	}
	inbox.Ran(inputs)
	return nil
}
