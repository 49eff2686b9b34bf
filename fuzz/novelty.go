package fuzz

import (
	"context"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// start tries the seeds, which the first worker does for all.
func (w *worker) start(ctx context.Context) error {
	if w.index != 0 {
		select {
		case <-w.run.seeded:
		case <-ctx.Done():
		}
		return nil
	}
	defer close(w.run.seeded)
	w.run.mu.Lock()
	w.run.executor = w.exec.Describe()
	w.run.mu.Unlock()
	shape := w.run.target.Shape()
	for _, seeds := range [...][]*corpus.Input{w.run.opts.Seeds, mutate.Seeds(shape)} {
		for _, in := range seeds {
			if ctx.Err() != nil {
				break
			}
			if err := w.try(ctx, in); err != nil {
				return err
			}
		}
	}
	if w.run.corpus.Snapshot().Len() == 0 {
		in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, shape.Packet.Min)}}}
		w.announce(w.run.corpus.Force(in, make([]byte, len(w.seen.Bytes()))))
	}
	return nil
}

// try runs a seed and keeps it if it covers something new.
func (w *worker) try(ctx context.Context, in *corpus.Input) error {
	out, err := w.alone(ctx, in, corpus.HaveRet|corpus.HavePacket|corpus.HaveCover)
	if err != nil {
		return err
	}
	var failure *triage.Failure
	if judge := w.run.opts.Judge; judge != nil {
		if f := judge.Every(in, out); f != nil {
			w.failing.Add(1)
			if w.fail.due(f) {
				failure = f
			}
		}
	}
	if w.seen.Adds(out.Cover) {
		if err := w.keep(ctx, in, out.Cover); err != nil {
			return err
		}
	}
	if failure != nil {
		return w.fail.investigate(ctx, in, failure)
	}
	return nil
}

// attribute finds the inputs of a batch that reached something new.
func (w *worker) attribute(ctx context.Context, batch *Batch) error {
	for i := range batch.Len() {
		in := batch.Input(i)
		out, err := w.alone(ctx, in, corpus.HaveCover)
		if err != nil {
			return err
		}
		if !w.seen.Adds(out.Cover) {
			continue
		}
		if err := w.keep(ctx, in, out.Cover); err != nil {
			return err
		}
	}
	// What no input reaches alone depends on chance, time or what ran before it. It
	// counts as seen, or every batch from here on would be taken apart for it.
	w.seen.Merge(w.cover)
	return nil
}

// keep adds an input that covered features to the corpus, runs it once more to
// see whether it does so again, and has it judged by every oracle.
func (w *worker) keep(ctx context.Context, in *corpus.Input, features []byte) error {
	w.seen.Merge(features)
	entry, added := w.run.corpus.Add(in, features)
	if !added {
		return nil // another worker was first
	}
	w.announce(entry)
	out, err := w.alone(ctx, entry.Input, corpus.HaveCover)
	if err != nil {
		return err
	}
	w.run.mu.Lock()
	for i, b := range out.Cover {
		w.run.unstable[i] |= b ^ entry.Cover[i]
	}
	w.run.mu.Unlock()
	if err := w.judgeAlone(ctx, entry.Input); err != nil {
		return fmt.Errorf("judging a new corpus entry: %w", err)
	}
	return nil
}

func (w *worker) announce(entry *corpus.Entry) {
	w.run.newest.Store(int64(w.run.elapsed()))
	w.run.keeper.add(entry.Input)
}
