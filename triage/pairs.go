package triage

import (
	"context"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// pairs runs an input and its twins for relations, which share what they can.
type pairs struct {
	rerun Rerun
	in    *corpus.Input
	need  corpus.Have
	first *corpus.Outcome // of the input as it is
	same  *corpus.Outcome // of the input once more, nil until somebody needs it
	bases map[uint32]*corpus.Outcome
}

// objection returns what the relation objects to, nil for nothing. The error is one of
// rerun's.
func (p *pairs) objection(ctx context.Context, r *Relation) (objection, err error) {
	if r.Pair != nil {
		a, b := &corpus.Input{}, &corpus.Input{}
		if !r.Pair(a, b, p.in) {
			return nil, nil
		}
		base, err := p.run(ctx, a)
		if err != nil {
			return nil, err
		}
		return p.compare(ctx, r, a, base, b)
	}
	if r.Twin == nil {
		if p.same == nil {
			if p.same, err = p.run(ctx, p.in); err != nil {
				return nil, err
			}
		}
		return r.Judge(p.first, p.same), nil
	}
	twin := &corpus.Input{}
	if !r.Twin(twin, p.in, p.first) {
		return nil, nil
	}
	base, err := p.base(ctx, r.Base)
	if err != nil {
		return nil, err
	}
	return p.compare(ctx, r, withFlags(p.in, r.Base), base, twin)
}

// compare judges the outcome of an input, which is base, and that of its twin.
func (p *pairs) compare(ctx context.Context, r *Relation, in *corpus.Input, base *corpus.Outcome, twin *corpus.Input) (objection, err error) {
	second, err := p.run(ctx, twin)
	if err != nil {
		return nil, err
	}
	if objection = r.Judge(base, second); objection == nil {
		return nil, nil
	}
	again, err := p.run(ctx, in)
	if err != nil || r.Judge(base, again) != nil {
		return nil, err
	}
	return objection, nil
}

// base returns the outcome of the input with further flags.
func (p *pairs) base(ctx context.Context, flags uint32) (*corpus.Outcome, error) {
	if out := p.bases[flags]; out != nil {
		return out, nil
	}
	out, err := p.run(ctx, withFlags(p.in, flags))
	if err == nil {
		p.bases[flags] = out
	}
	return out, err
}

// run runs an input and keeps its outcome.
func (p *pairs) run(ctx context.Context, in *corpus.Input) (*corpus.Outcome, error) {
	out, err := p.rerun(ctx, in, p.need)
	if err != nil {
		return nil, err
	}
	return copyOutcome(out), nil
}

// withFlags returns the input with further flags in each step. It shares the buffers.
func withFlags(in *corpus.Input, flags uint32) *corpus.Input {
	if flags == 0 {
		return in
	}
	other := &corpus.Input{Maps: in.Maps, Steps: append([]corpus.Step(nil), in.Steps...)}
	for i := range other.Steps {
		other.Steps[i].Flags |= flags
	}
	return other
}
