package fuzz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// findings are what all workers found, by key.
type findings struct {
	report func(*triage.Finding) error

	mu    sync.Mutex
	byKey map[string]*triage.Finding // nil while a worker investigates the key
	order []*triage.Finding
}

func newFindings(report func(*triage.Finding) error) *findings {
	return &findings{report: report, byKey: map[string]*triage.Finding{}}
}

// claim reports whether the key is new, in which case it is the caller's to
// investigate and to settle.
func (f *findings) claim(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, claimed := f.byKey[key]
	if !claimed {
		f.byKey[key] = nil
		return true
	}
	if found != nil {
		found.Count++
	}
	return false
}

// settle records what came of a claimed key; nil gives the key free again.
func (f *findings) settle(key string, found *triage.Finding) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found == nil {
		delete(f.byKey, key)
		return nil
	}
	f.byKey[key] = found
	f.order = append(f.order, found)
	return f.report(found)
}

func (f *findings) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.order)
}

func (f *findings) list() []*triage.Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.order)
}

// failures decides which failing inputs a worker investigates. A program may
// break an invariant in every other run: looking at each of them would leave no
// time to find anything else. So the distance between failures of one oracle that
// are looked at grows by a quarter each time that nothing new came of it, up to
// widest, and is one again after something did.
type failures struct {
	worker *worker
	pace   map[string]*pace
}

type pace struct{ gap, wait int }

const widest = 1 << 14

func newFailures(w *worker) *failures { return &failures{worker: w, pace: map[string]*pace{}} }

// due reports whether this failure is one to look at.
func (f *failures) due(failure *triage.Failure) bool {
	p := f.pace[failure.Oracle]
	if p == nil {
		p = &pace{gap: 1}
		f.pace[failure.Oracle] = p
	}
	if p.wait > 0 {
		p.wait--
		return false
	}
	p.wait = p.gap - 1
	return true
}

func (f *failures) learn(oracle string, fresh bool) {
	p := f.pace[oracle]
	if p == nil {
		return
	}
	if p.gap = min(p.gap+1+p.gap/4, widest); fresh {
		p.gap, p.wait = 1, 0
	}
}

// investigate turns a failing input into a finding, or counts one that is known.
// Batch is what it failed in, as in triage.Unconfirmed, and nil for the input alone.
func (f *failures) investigate(ctx context.Context, in *corpus.Input, failure *triage.Failure, batch func() *triage.Unconfirmed) error {
	w := f.worker
	opts := w.run.opts.Triage
	opts.Recreate = w.exec.Recreate
	opts.Shape = allowing(opts.Shape, len(in.Steps))
	claimed := ""
	known := func(key string) bool {
		if !w.run.findings.claim(key) {
			return true
		}
		claimed = key
		return false
	}
	w.lane.Hold(in)
	defer w.lane.Release()
	found, err := triage.Investigate(ctx, w.alone, w.run.opts.Judge, in.Clone(), opts, known)
	f.learn(failure.Oracle, found != nil)
	if claimed != "" {
		if settleErr := w.run.findings.settle(claimed, found); settleErr != nil {
			return fmt.Errorf("reporting finding %s: %w", claimed, settleErr)
		}
	}
	switch {
	case errors.Is(err, triage.ErrUnconfirmed):
		w.unconfirmed.Add(1)
		return w.run.aside(batch())
	case errors.Is(err, triage.ErrKnown):
		return nil
	case err != nil && ctx.Err() != nil:
		return nil // interrupted before there was anything to report
	case err != nil:
		return fmt.Errorf("investigating a failure of oracle %q: %w", failure.Oracle, err)
	case w.run.opts.StopOnFinding && !w.run.opts.Known(found.Key):
		return errFinding
	}
	return nil
}

// allowing returns a shape whose inputs may have n steps.
func allowing(shape *corpus.Shape, n int) *corpus.Shape {
	if shape == nil || n <= shape.MaxSteps {
		return shape
	}
	longer := *shape
	longer.MaxSteps = n
	return &longer
}
