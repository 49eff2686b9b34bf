package fuzz

import (
	"context"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Listener is an Executor that hears what the kernel and programs say while a batch runs.
type Listener interface {
	// Heard appends to events what was said since the last call, and since the last input
	// ran alone with corpus.HaveEvents. It does not allocate where that is nothing.
	Heard(events []corpus.Event) ([]corpus.Event, error)
}

// listening looks for what the kernel or a program said while a batch ran: every input of
// the batch is a suspect.
type listening struct {
	worker *worker
	exec   Listener
	events []corpus.Event // that were said while the last batch ran
}

// newListening returns nil where nobody listens.
func newListening(w *worker) *listening {
	exec, ok := w.exec.(Listener)
	if !ok || w.run.opts.Judge.Need()&corpus.HaveEvents == 0 {
		return nil
	}
	return &listening{worker: w, exec: exec}
}

// note hears what was said while the batch ran; it comes before anything runs alone.
func (l *listening) note() (err error) {
	if l == nil {
		return nil
	}
	if l.events, err = l.exec.Heard(l.events[:0]); err != nil {
		return fmt.Errorf("listening while a batch runs: %w", err)
	}
	return nil
}

// look looks into what was said. The suspects are told apart by running them alone, one by
// one, where the kernel is still sound; if none of them is found guilty the failure is
// unconfirmed, with the whole batch.
func (l *listening) look(ctx context.Context, batch *Batch) error {
	if l == nil || len(l.events) == 0 {
		return nil
	}
	f, harmed := l.worker.run.opts.Judge.Heard(l.events)
	if f == nil || !l.worker.fail.due(f) {
		return nil
	}
	l.worker.failing.Add(1)
	if !harmed {
		if found, err := l.tellApart(ctx, batch); found || err != nil {
			return err
		}
	}
	l.worker.unconfirmed.Add(1)
	l.worker.run.opts.Warn(fmt.Errorf("while a batch ran: %w", f))
	return l.worker.run.aside(l.whole(batch, f))
}

// tellApart looks into the first input of the batch that fails alone, and reports whether
// there was one.
func (l *listening) tellApart(ctx context.Context, batch *Batch) (found bool, err error) {
	w := l.worker
	for i := range batch.Len() {
		if ctx.Err() != nil {
			return true, nil
		}
		in := batch.Input(i)
		f, err := w.run.opts.Judge.Sampled(ctx, w.alone, in)
		if err != nil {
			return false, err
		}
		if f != nil {
			return true, w.fail.investigate(ctx, in, f, func() *triage.Unconfirmed { return w.unconfirmedAlone(in, f) })
		}
	}
	return false, nil
}

// whole describes the failure with all inputs of the batch as suspects.
func (l *listening) whole(batch *Batch, f *triage.Failure) *triage.Unconfirmed {
	u := l.worker.unconfirmedAlone(batch.Input(batch.Len()-1), f)
	u.Batch = (&corpus.Input{Steps: batch.Slots()}).Clone()
	u.Notes = append(u.Notes, "every packet of the batch is a suspect; the kernel's log is the machine's, so something else may have been the reason")
	for i := range l.events {
		u.Notes = append(u.Notes, l.events[i].Source+": "+l.events[i].Text)
	}
	return u
}
