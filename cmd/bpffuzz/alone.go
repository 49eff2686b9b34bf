package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// withExecutor makes an executor and calls do with it, both on a goroutine of
// their own: executors lock theirs to a thread that cannot be used again.
func withExecutor(target fuzz.Target, do func(fuzz.Executor) error) error {
	done := make(chan error)
	go func() {
		exec, err := target.NewExecutor(0)
		if err != nil {
			done <- err
			return
		}
		err = do(exec)
		done <- errors.Join(err, exec.Close())
	}()
	return <-done
}

// player runs inputs alone, each from the initial state.
type player struct {
	exec  fuzz.Executor
	fresh bool // programs and maps have to be made anew before each input
	runs  int
}

func newPlayer(exec fuzz.Executor, shape *corpus.Shape) *player {
	return &player{exec: exec, fresh: len(shape.Lasts()) > 0}
}

// recreate gives the next input the state that a new process has. It is not
// needed, and not done, where everything can be put back.
func (p *player) recreate(ctx context.Context) error {
	if !p.fresh || p.runs == 0 {
		return nil
	}
	if err := p.exec.Recreate(ctx); err != nil {
		return fmt.Errorf("making programs and maps anew: %w", err)
	}
	return nil
}

// rerun implements triage.Rerun.
func (p *player) rerun(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("stopped: %w", err)
	}
	p.runs++
	return p.exec.Alone(ctx, in, want)
}

// longest returns the number of steps of the longest input.
func longest(all []named) int {
	n := 0
	for _, one := range all {
		n = max(n, len(one.in.Steps))
	}
	return n
}
