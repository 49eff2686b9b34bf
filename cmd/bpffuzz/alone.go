package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
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

// conform returns an input that the shape allows: one that is too short is padded,
// one that is too long is refused, since a part of it would be another input.
func conform(shape *corpus.Shape, in *corpus.Input) (*corpus.Input, error) {
	why := shape.Check(in)
	fitted := in.Clone()
	for i := range fitted.Steps {
		s := &fitted.Steps[i]
		s.Packet = withRoom(s.Packet, max(shape.Packet.Min, shape.MinIPv4, shape.MinIPv6))
		s.Meta = withRoom(s.Meta, (len(s.Meta)+3)&^3)
		if len(s.Context) > 0 {
			s.Context = withRoom(s.Context, shape.ContextSize)
		}
	}
	if mutate.Conform(shape, fitted) {
		return nil, why
	}
	return fitted, nil
}

// withRoom returns b with a capacity of at least n.
func withRoom(b []byte, n int) []byte {
	return append(make([]byte, 0, max(n, len(b))), b...)
}
