package bpf

import (
	"context"
	"errors"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// Compare implements fuzz.Comparer. The variant that logs stands in for the hot one
// meanwhile.
func (e *triggerExecutor) Compare(_ context.Context, in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error) {
	if e.target.compare.Rung == instrument.None {
		return dst, nil
	}
	if e.compare == nil {
		inst, err := e.target.arm(instrument.Compare)
		if err != nil {
			return dst, err
		}
		e.compare = inst
	}
	if err := errors.Join(e.hot.stop(), e.compare.start()); err != nil {
		return dst, err
	}
	dst, err := e.compareSteps(in, dst)
	return dst, errors.Join(err, e.compare.stop(), e.hot.start())
}

// compareSteps runs the input step by step, and appends what each of them compared.
func (e *triggerExecutor) compareSteps(in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error) {
	a := e.compare
	a.beginChance()
	if err := errors.Join(a.state.restore(), a.state.store(in.Maps)); err != nil {
		return dst, err
	}
	a.clearLookups()
	var outcome corpus.StepOutcome
	var v view
	for i := range in.Steps {
		a.clearOperands()
		if err := e.step(a, &in.Steps[i], &outcome, &v); err != nil {
			return dst, err
		}
		dst = e.target.compared(a.instance, dst, i, len(in.Steps[i].Packet))
	}
	return dst, nil
}

// Keys implements fuzz.KeyLogger.
func (e *triggerExecutor) Keys(dst []cover.Lookup) []cover.Lookup {
	if e.compare == nil {
		return dst
	}
	return e.compare.keys(dst)
}
