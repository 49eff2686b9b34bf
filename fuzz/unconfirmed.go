package fuzz

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// unconfirmedIn describes a failure of an input of the batch with what ran before it
// on the same state.
func (w *worker) unconfirmedIn(batch *Batch, f failed) *triage.Unconfirmed {
	u := w.unconfirmedAlone(batch.Input(f.input), f.failure)
	if before := upTo(batch, f.input, f.step); len(before) > 0 {
		u.Batch = (&corpus.Input{Steps: before}).Clone()
	}
	return u
}

// unconfirmedAlone describes a failure of an input that ran from the initial state.
func (w *worker) unconfirmedAlone(in *corpus.Input, f *triage.Failure) *triage.Unconfirmed {
	shape := w.run.target.Shape()
	u := &triage.Unconfirmed{Oracle: f.Oracle, Title: f.Error(), Program: shape.Program, Type: shape.Type, Payload: shape.Payload, Failing: in.Clone()}
	u.Batch = u.Failing
	return u
}

// aside hands over a failure that was not confirmed.
func (r *run) aside(u *triage.Unconfirmed) error {
	r.findings.mu.Lock() // one goroutine at a time
	defer r.findings.mu.Unlock()
	if err := r.opts.Unconfirmed(u); err != nil {
		return fmt.Errorf("keeping an unconfirmed failure of oracle %q: %w", u.Oracle, err)
	}
	return nil
}
