package fuzz

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Inputs of a batch share the program's state, so some do what they do only because
// of others before them. A sequence holds that it happens when some steps of the
// batch run from the initial state.
type sequence struct {
	worker *worker
	steps  []corpus.Step // of the batch
	holds  func(in *corpus.Input, out *corpus.Outcome) bool
	in     corpus.Input // what is tried
}

// try reports whether it holds after steps [lo, hi) and then those with the indices.
func (s *sequence) try(ctx context.Context, lo, hi int, then ...int) (bool, error) {
	s.in.Steps = append(s.in.Steps[:0], s.steps[lo:hi]...)
	for _, i := range then {
		s.in.Steps = append(s.in.Steps, s.steps[i])
	}
	out, err := s.worker.alone(ctx, &s.in, corpus.HaveRet|corpus.HavePacket|corpus.HaveCover)
	return err == nil && s.holds(&s.in, out), err
}

// shorten returns a shortest sequence that ends with step last of the batch, and
// after which it holds; nil when it needs more steps than an input may have, or
// does not hold after all steps up to there either.
func (s *sequence) shorten(ctx context.Context, last int) (*corpus.Input, error) {
	chosen := []int{last}
	holds, err := s.try(ctx, 0, last, chosen...)
	for end := last; holds && err == nil; end = chosen[0] {
		done, err := s.try(ctx, 0, 0, chosen...)
		switch {
		case err != nil:
			return nil, err
		case done:
			return &corpus.Input{Steps: slices.Clone(s.in.Steps)}, nil
		case len(chosen) == s.worker.maxSteps():
			return nil, nil
		}
		// All of [0, end) is enough and nothing of it is not: the latest step that is
		// needed with all behind it belongs to the sequence.
		from, behind := 0, end
		for behind-from > 1 {
			middle := from + (behind-from)/2
			enough, err := s.try(ctx, middle, end, chosen...)
			if err != nil {
				return nil, err
			}
			if enough {
				from = middle
			} else {
				behind = middle
			}
		}
		chosen = slices.Insert(chosen, 0, from)
	}
	return nil, err
}

func (w *worker) maxSteps() int { return max(w.run.target.Shape().MaxSteps, 1) }

// maxSequences bounds how many sequences are looked for in one batch.
const maxSequences = 8

// attributeSequences finds sequences that reach what the batch reached and none of
// its inputs does alone.
func (w *worker) attributeSequences(ctx context.Context, batch *Batch) error {
	if w.maxSteps() == 1 {
		return nil
	}
	probes := w.run.target.Table().Probes // loops count otherwise in long sequences
	wanted := w.cover[:probes]
	s := &sequence{worker: w, steps: batch.Slots(), holds: func(_ *corpus.Input, out *corpus.Outcome) bool {
		return w.reaches(out.Cover, wanted)
	}}
	for range maxSequences {
		last, err := s.first(ctx)
		if last < 0 || err != nil {
			return err
		}
		in, err := s.shorten(ctx, last)
		if err != nil {
			return err
		}
		if in == nil {
			// It takes more steps than an input may have. Others may not.
			if wanted, err = s.without(ctx, last, wanted); err != nil {
				return err
			}
			continue
		}
		out, err := w.alone(ctx, in, corpus.HaveCover)
		if err != nil {
			return err
		}
		if err := w.keep(ctx, in, out.Cover); err != nil {
			return err
		}
	}
	return nil
}

// without returns hit bytes without those that the steps up to last reach.
func (s *sequence) without(ctx context.Context, last int, hits []byte) ([]byte, error) {
	out, err := s.worker.alone(ctx, &corpus.Input{Steps: s.steps[:last+1]}, corpus.HaveCover)
	if err != nil {
		return nil, err
	}
	rest := slices.Clone(hits)
	for i := range rest {
		rest[i] &^= out.Cover[i]
	}
	return rest, nil
}

// reaches reports whether features have one of the wanted hit bytes that the worker
// has not seen.
func (w *worker) reaches(features, wanted []byte) bool {
	seen := w.seen.Bytes()
	for i, b := range wanted {
		if b&features[i]&^seen[i] != 0 {
			return true
		}
	}
	return false
}

// first returns the step after which it holds for the first time; -1 when it does
// not hold after all of them.
func (s *sequence) first(ctx context.Context) (int, error) {
	holds, err := s.try(ctx, 0, len(s.steps))
	if !holds || err != nil {
		return -1, err
	}
	before, after := 0, len(s.steps)
	for after-before > 1 {
		middle := before + (after-before)/2
		enough, err := s.try(ctx, 0, middle)
		if err != nil {
			return -1, err
		}
		if enough {
			after = middle
		} else {
			before = middle
		}
	}
	return after - 1, nil
}

// reproducible returns an input that fails as the i-th of the batch did: the input
// itself, or, where it only fails after others, the shortest sequence that does.
func (w *worker) reproducible(ctx context.Context, batch *Batch, i int, oracle string) (*corpus.Input, error) {
	in := batch.Input(i)
	if w.maxSteps() == 1 {
		return in, nil
	}
	fails := func(in *corpus.Input, out *corpus.Outcome) bool {
		f := w.run.opts.Judge.Every(in, out)
		return f != nil && f.Oracle == oracle
	}
	out, err := w.alone(ctx, in, corpus.HaveRet|corpus.HavePacket)
	if err != nil || fails(in, out) {
		return in, err
	}
	last := -1
	for n := range i + 1 {
		last += len(batch.Input(n).Steps)
	}
	s := &sequence{worker: w, steps: batch.Slots(), holds: func(in *corpus.Input, out *corpus.Outcome) bool {
		end := len(in.Steps) - 1 // others may fail alike
		step, result := corpus.Input{Steps: in.Steps[end:]}, *out
		result.Steps = out.Steps[end:]
		return fails(&step, &result)
	}}
	short, err := s.shorten(ctx, last)
	if short == nil {
		return in, err
	}
	return short, err
}
