package fuzz

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// openLane makes the worker's part of the journal. A full disk is no reason not to run,
// unless the journal is to outlive the machine.
func (w *worker) openLane() (err error) {
	journal := w.run.opts.Journal
	w.lane, err = journal.Lane(w.index, w.exec.Batch().room())
	if err != nil && !journal.Syncs() && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		w.run.opts.Warn(fmt.Errorf("inputs of worker %d that are in flight when the run is killed are lost: %w", w.index, err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("starting worker %d: %w", w.index, err)
	}
	w.exec.Batch().lane = w.lane
	return nil
}

// resume runs what was in flight when another run ended: one by one, so that the
// journal says which one it was if that happens again, and then together, as they may
// have done something only on the state that others left.
func (w *worker) resume(ctx context.Context) error {
	inputs := w.run.opts.Resume
	if len(inputs) == 0 {
		return nil
	}
	failing := 0
	for _, in := range inputs {
		before := w.failing.Load()
		if err := w.again(ctx, in); err != nil {
			return err
		}
		if w.failing.Load() > before {
			failing++
		}
	}
	for len(inputs) > 0 && ctx.Err() == nil && w.each == 0 {
		batch := w.exec.Batch()
		batch.Reset()
		n := fillWith(batch, inputs)
		inputs = inputs[n:]
		if err := w.runBatch(ctx, batch); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return w.run.opts.Resumed(failing)
}

// again runs an input that was in flight as if it were a seed and part of the sample.
func (w *worker) again(ctx context.Context, in *corpus.Input) error {
	if ctx.Err() != nil {
		return nil
	}
	if err := w.lane.Suspect(in); err != nil {
		return err
	}
	if err := w.try(ctx, in); err != nil {
		return err
	}
	return w.judgeAlone(ctx, in)
}

// fillWith writes inputs into an empty batch and returns how many there was room for,
// those included that are too long for any batch.
func fillWith(batch *Batch, inputs []*corpus.Input) int {
	for i, in := range inputs {
		slot := batch.Next()
		if slot == nil {
			return i
		}
		if len(in.Steps) <= cap(slot.Steps) {
			slot.CopyFrom(in)
			batch.Commit()
		}
	}
	return len(inputs)
}
