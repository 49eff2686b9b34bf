package bpf

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// What happens to map state, values of Options.State.
const (
	stateReset = "reset"
	stateKeep  = "keep"
)

// checkState refuses what cannot be done with map state.
func (t *Target) checkState(opts *Options) error {
	switch opts.State {
	case "", stateReset:
		return nil
	case stateKeep:
	default:
		return fmt.Errorf("state %q: choose %s or %s", opts.State, stateReset, stateKeep)
	}
	if t.row.trigger != nil || opts.Live != nil {
		return fmt.Errorf("state %s: programs that wait for events and live frames start from the initial state each time: choose %s", stateKeep, stateReset)
	}
	t.keep = true
	return nil
}

// keepExecutor runs batches on maps that are never put back. What runs alone, from
// the initial state, the embedded executor runs on maps of its own.
type keepExecutor struct {
	*executor
	loop    *executor
	looping bool  // it ran last
	inOrder []int // all slots
}

// newKeepExecutor makes one on top of an executor, on the same thread.
func newKeepExecutor(alone *executor) (*keepExecutor, error) {
	loop, err := alone.target.newExecutorHere(nil)
	if err != nil {
		return nil, err
	}
	loop.hot.state.keep = true
	k := &keepExecutor{executor: alone, loop: loop}
	for i := range loop.batch.Cap() {
		k.inOrder = append(k.inOrder, i)
	}
	return k, nil
}

// Describe implements fuzz.Executor.
func (k *keepExecutor) Describe() string { return k.executor.Describe() + ", map state kept" }

// Batch implements fuzz.Executor.
func (k *keepExecutor) Batch() *fuzz.Batch { return k.loop.batch }

// Run implements fuzz.Executor.
func (k *keepExecutor) Run(ctx context.Context) error {
	k.looping = true
	err := k.loop.Run(ctx)
	k.loop.batch.SetOrder(k.inOrder[:len(k.loop.batch.Slots())])
	return err
}

// Cover implements fuzz.Executor.
func (k *keepExecutor) Cover() []byte {
	if k.looping {
		return k.loop.Cover()
	}
	return k.executor.Cover()
}

// Alone implements fuzz.Executor.
func (k *keepExecutor) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	k.looping = false
	return k.executor.Alone(ctx, in, want)
}

// Close implements fuzz.Executor.
func (k *keepExecutor) Close() error { return errors.Join(k.loop.Close(), k.executor.Close()) }
