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
	steps  []corpus.Step // that ran on one state, in their order
	limit  int           // steps that are chosen
	holds  func(in *corpus.Input, out *corpus.Outcome) bool
	in     corpus.Input // what is tried
}

// try reports whether it holds after the chosen steps, those of [lo, hi) and last;
// no chosen step is behind lo.
func (s *sequence) try(ctx context.Context, chosen []int, lo, hi, last int) (bool, error) {
	if ctx.Err() != nil {
		return false, nil
	}
	s.in.Steps = s.in.Steps[:0]
	for _, i := range chosen {
		s.in.Steps = append(s.in.Steps, s.steps[i])
	}
	s.in.Steps = append(append(s.in.Steps, s.steps[lo:hi]...), s.steps[last])
	out, err := s.worker.alone(ctx, &s.in, corpus.HaveRet|corpus.HavePacket|corpus.HaveCover)
	return err == nil && s.holds(&s.in, out), err
}

// shorten returns a short sequence that ends with step last, and after which it
// holds; nil when it does not hold after all steps up to there either, and when ctx
// ends. Whole says that it has no more than the limit of steps: otherwise those
// behind the last chosen one are all there.
func (s *sequence) shorten(ctx context.Context, last int) (in *corpus.Input, whole bool, err error) {
	var chosen []int
	holds, err := s.try(ctx, chosen, 0, last, last)
	for lo := 0; holds && err == nil; lo = chosen[len(chosen)-1] + 1 {
		done, err := s.try(ctx, chosen, last, last, last)
		if err != nil {
			return nil, false, err
		}
		if done {
			return &corpus.Input{Steps: slices.Clone(s.in.Steps)}, true, nil
		}
		if len(chosen)+1 >= s.limit {
			_, err := s.try(ctx, chosen, lo, last, last)
			return &corpus.Input{Steps: slices.Clone(s.in.Steps)}, false, err
		}
		// With all of [lo, last) it holds and with none of it not: the first step that
		// cannot be left out with all in front of it belongs to the sequence.
		from, err := s.firstNeeded(ctx, chosen, lo, last)
		if err != nil {
			return nil, false, err
		}
		chosen = append(chosen, from)
		if ctx.Err() != nil {
			return nil, false, nil
		}
	}
	return nil, false, err
}

// firstNeeded returns the latest step from which on those up to last are enough.
func (s *sequence) firstNeeded(ctx context.Context, chosen []int, lo, last int) (int, error) {
	from, behind := lo, last
	for behind-from > 1 {
		middle := from + (behind-from)/2
		enough, err := s.try(ctx, chosen, middle, last, last)
		if err != nil {
			return 0, err
		}
		if enough {
			from = middle
		} else {
			behind = middle
		}
	}
	return from, nil
}

func (w *worker) maxSteps() int { return max(w.run.target.Shape().MaxSteps, 1) }

// maxSequences bounds how many sequences are looked for in one batch.
const maxSequences = 8

// attributeSequences finds sequences that reach what the batch reached and none of
// its inputs does alone.
func (w *worker) attributeSequences(ctx context.Context, batch *Batch) error {
	if w.maxSteps() == 1 || len(batch.Order()) == 0 {
		return nil
	}
	probes := w.run.target.Table().Probes // loops count otherwise in long sequences
	wanted := w.cover[:probes]
	s := &sequence{worker: w, steps: together(batch), limit: w.maxSteps(), holds: func(_ *corpus.Input, out *corpus.Outcome) bool {
		return w.reaches(out.Cover, wanted)
	}}
	for range maxSequences {
		last, err := s.first(ctx)
		if last < 0 || err != nil {
			return err
		}
		in, whole, err := s.shorten(ctx, last)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if !whole {
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
	end := len(s.steps) - 1
	holds, err := s.try(ctx, nil, 0, end, end)
	if !holds || err != nil {
		return -1, err
	}
	before, at := -1, end
	for at-before > 1 {
		middle := before + (at-before)/2
		enough, err := s.try(ctx, nil, 0, middle, middle)
		if err != nil {
			return -1, err
		}
		if enough {
			at = middle
		} else {
			before = middle
		}
	}
	return at, nil
}

// together returns the steps of a batch that shared state, in the order in which
// they ran.
func together(batch *Batch) []corpus.Step {
	steps := make([]corpus.Step, 0, len(batch.Order()))
	for _, slot := range batch.Order() {
		steps = append(steps, batch.Slots()[slot])
	}
	return steps
}

// upTo returns those of together that ran up to the given step of the i-th input;
// none where that ran from the initial state.
func upTo(batch *Batch, i, step int) []corpus.Step {
	for n := range i {
		step += len(batch.Input(n).Steps)
	}
	return together(batch)[:slices.Index(batch.Order(), step)+1]
}

// mostChosen bounds the steps of a failing sequence that are looked for one by one.
// What takes more, such as a limit that is reached after a hundred packets, stays as
// long as it is: minimisation drops steps in larger pieces.
const mostChosen = 16

// reproducible returns an input that fails as one of the batch did: the input
// itself, or, where it only fails after others, a sequence that does.
func (w *worker) reproducible(ctx context.Context, batch *Batch, f failed) (*corpus.Input, error) {
	in, before := batch.Input(f.input), upTo(batch, f.input, f.step)
	if len(before) <= f.step+1 {
		return in, nil // nothing ran before it
	}
	fails := func(in *corpus.Input, out *corpus.Outcome) bool {
		again := w.run.opts.Judge.Every(in, out)
		return again != nil && again.Oracle == f.failure.Oracle
	}
	out, err := w.alone(ctx, in, corpus.HaveRet|corpus.HavePacket)
	if err != nil || fails(in, out) {
		return in, err
	}
	s := &sequence{worker: w, steps: before, limit: mostChosen, holds: func(in *corpus.Input, out *corpus.Outcome) bool {
		end := len(in.Steps) - 1 // others may fail alike
		step, result := corpus.Input{Steps: in.Steps[end:]}, *out
		result.Steps = out.Steps[end:]
		return fails(&step, &result)
	}}
	short, _, err := s.shorten(ctx, len(before)-1)
	if short == nil {
		return in, err
	}
	return short, err
}
