package fuzz

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/triage"
)

// describe says which executor this is, and why inputs run one by one.
func (w *worker) describe() string {
	if w.each == 0 {
		return w.exec.Describe()
	}
	names := w.run.opts.Judge.EveryNeeding(w.each)
	return fmt.Sprintf("single: each input alone, from the initial state, because %s is asked about every run and reads what batches do not record", strings.Join(names, ", "))
}

// try runs an input alone, has it judged and keeps it if it covers something new.
func (w *worker) try(ctx context.Context, in *corpus.Input) error {
	out, err := w.alone(ctx, in, corpus.HaveRet|corpus.HavePacket|corpus.HaveCover|w.each)
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
		return w.fail.investigate(ctx, in, failure, func() *triage.Unconfirmed { return w.unconfirmedAlone(in, failure) })
	}
	return nil
}

// attribute finds the inputs of a batch that reached something new.
func (w *worker) attribute(ctx context.Context, batch *Batch) error {
	for i := range batch.Len() {
		if !w.seen.Adds(w.cover) {
			return nil // all of it is accounted for
		}
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
	if err := w.attributeSequences(ctx, batch); err != nil {
		return err
	}
	w.notedBy(batch).merge(w.cover)
	return nil
}

// unattributed is what batches reached and none of their inputs alone: it depends
// on chance, on time, or on more that ran before than an input can hold. Were it
// forgotten, every batch would be taken apart for it; were it never looked at again,
// what another input does reach alone would be lost with it. So it is forgotten after
// more and more batches.
type unattributed struct {
	features []byte
	age, gap int // in batches
}

// patience is the first gap: looking costs about as much as so many batches.
const patience = 256

func (u *unattributed) merge(features []byte) {
	u.features = append(u.features, make([]byte, len(features)-len(u.features))...)
	for i, b := range features {
		u.features[i] |= b
	}
}

// adds reports whether features have a bit that is neither seen nor noted.
func (u *unattributed) adds(features []byte, seen *cover.Seen) bool {
	if u.age++; u.features != nil && u.age > u.gap {
		u.features, u.age, u.gap = nil, 0, max(patience, 2*u.gap)
	}
	if u.features == nil {
		return true
	}
	for i, b := range seen.Bytes() {
		if features[i]&^(b|u.features[i]) != 0 {
			return true
		}
	}
	return false
}

// keep adds an input that covered features to the corpus, runs it once more to
// see whether it does so again, and has it judged by every oracle.
func (w *worker) keep(ctx context.Context, in *corpus.Input, features []byte) error {
	if w.seen.Merge(features) > 0 {
		w.more.grown()
	}
	entry, added := w.run.corpus.Add(in, features)
	if !added {
		return nil // another worker was first
	}
	if err := w.announce(entry); err != nil {
		return err
	}
	w.solve.entry(entry.Input)
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

func (w *worker) announce(entry *corpus.Entry) error {
	seed := w.run.seeding()
	if !seed {
		w.run.found.Add(1)
	}
	w.run.newest.Store(int64(w.run.elapsed()))
	w.run.gains.entry(entry, seed)
	return w.run.keeper.add(entry.Input)
}
