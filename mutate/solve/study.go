package solve

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

const (
	// maxFlips bounds the bytes of an input that are changed one by one.
	maxFlips = 512
	// maxStudied bounds the inputs that are taken apart for one side of a comparison.
	maxStudied = 6
	// maxRuns bounds what is run for one input besides its flips; what is left of its
	// goals has to wait until the others have had their turn.
	maxRuns = 4096
	// maxHard bounds the inputs that wait to be studied; the oldest make room.
	maxHard = 256
)

// Pending reports whether there is anything to Study.
func (s *Solver) Pending() bool { return len(s.hard) > 0 }

// later puts an input among those to be studied.
func (s *Solver) later(in *corpus.Input) {
	if len(s.hard) == maxHard {
		s.hard = append(s.hard[:0], s.hard[1:]...)
	}
	s.hard = append(s.hard, in)
}

// Study takes an input apart for the comparisons that Solve left: it changes one byte
// after the other, sees which operands follow, and then looks for bytes that are an
// operand, solves what is linear, or leaves the bytes to Sweep. The newest input
// comes first.
func (s *Solver) Study(ctx context.Context) error {
	in := s.hard[len(s.hard)-1]
	s.hard = s.hard[:len(s.hard)-1]
	compared, keys, err := s.compare(ctx, in)
	if err != nil {
		return err
	}
	st := newStudy(s, in, compared, keys)
	if len(st.subjects) == 0 && !slices.ContainsFunc(keys, func(k cover.Lookup) bool { return !k.Found }) {
		return nil
	}
	s.remember(compared)
	if err := st.flip(ctx); err != nil {
		return err
	}
	if s.uses(Keys) {
		err = st.lookUp(ctx)
	}
	if err != nil {
		return err
	}
	limit := s.stats.Runs + maxRuns
	for i, sub := range st.subjects {
		if s.stats.Runs > limit {
			s.postpone(st.subjects[i:], in)
			return nil
		}
		if err := st.solve(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// postpone puts an input behind all others, for what is left to do.
func (s *Solver) postpone(left []*subject, in *corpus.Input) {
	for _, sub := range left {
		s.state[sub.Site].studied[index(sub.taken)]--
	}
	s.hard = slices.Insert(s.hard, 0, in)[:min(len(s.hard)+1, maxHard)]
}

// study is an input that is taken apart.
type study struct {
	*Solver
	in       *corpus.Input
	subjects []*subject
	flips    []edit
	keys     []cover.Lookup
	feeds    map[keyByte]place // the byte of the input that a byte of a key is
	moves    map[int][]place   // the bytes on which the key of a lookup depends
}

func newStudy(s *Solver, in *corpus.Input, compared []cover.Compared, keys []cover.Lookup) *study {
	st := &study{Solver: s, in: in, keys: cloneKeys(keys)}
	nth := map[evaluation]int{}
	for _, c := range compared {
		st.add(c, count(nth, c))
	}
	return st
}

// count numbers the evaluations of a site in a step.
func count(nth map[evaluation]int, c cover.Compared) evaluation {
	first := evaluation{site: c.Site, step: c.Step}
	e := first
	e.nth = nth[first]
	nth[first]++
	return e
}

// evaluation tells the evaluations of a run from each other.
type evaluation struct{ site, step, nth int }

// subject is a goal with what is learnt of it.
type subject struct {
	goal
	which   evaluation
	samples []sample
	// deps are the places on which each operand depends.
	deps [2][]place
}

// sample is what the operands became with one byte changed.
type sample struct {
	flip int
	a, b uint64
}

func (st *study) add(c cover.Compared, e evaluation) {
	taken := !st.sites[c.Site].Holds(c.A, c.B)
	t := &st.state[c.Site]
	if len(st.subjects) == maxGoals || t.counter || !st.engine.Open(c.Site, taken) || t.studied[index(taken)] >= maxStudied {
		return
	}
	t.studied[index(taken)]++
	st.subjects = append(st.subjects, &subject{goal: goal{c, taken}, which: e})
}

// flip runs the input with each of its bytes changed, all bits of it.
func (st *study) flip(ctx context.Context) error {
	wanted := map[evaluation]*subject{}
	for _, sub := range st.subjects {
		wanted[sub.which] = sub
	}
	st.feeds, st.moves = map[keyByte]place{}, map[int][]place{}
	for _, p := range st.units() {
		for _, mask := range [...]byte{0xff, 1} {
			e := edit{place: p, data: []byte{mask}}
			if b := p.bytes(st.in); b != nil {
				e.data[0] ^= b[0]
			}
			changed := apply(st.shape, st.in, e)
			if changed == nil {
				continue
			}
			complete, err := st.observe(ctx, changed, e, mask, wanted)
			if err != nil {
				return err
			}
			if complete {
				break // else a smaller change may leave the way as it is
			}
		}
	}
	return nil
}

// observe notes what becomes of the operands of subjects. It reports whether all of
// them were evaluated.
func (st *study) observe(ctx context.Context, in *corpus.Input, e edit, mask byte, wanted map[evaluation]*subject) (bool, error) {
	compared, keys, err := st.compare(ctx, in)
	if err != nil {
		return false, err
	}
	st.noteKeys(keys, e.place, mask)
	flip := len(st.flips)
	st.flips = append(st.flips, e)
	met := 0
	nth := map[evaluation]int{}
	for _, c := range compared {
		sub := wanted[count(nth, c)]
		if sub == nil {
			continue
		}
		met++
		sub.samples = append(sub.samples, sample{flip, c.A, c.B})
		for side, differs := range [...]bool{c.A != sub.A, c.B != sub.B} {
			if n := len(sub.deps[side]); differs && (n == 0 || sub.deps[side][n-1] != e.place) {
				sub.deps[side] = append(sub.deps[side], e.place)
			}
		}
	}
	return met == len(wanted), nil
}

// units lists the bytes that an input may differ in.
func (st *study) units() []place {
	var list []place
	add := func(p part, index, n int) {
		for at := range n {
			if len(list) < maxFlips {
				list = append(list, place{p, index, at, 1})
			}
		}
	}
	for i := range st.in.Steps {
		step := &st.in.Steps[i]
		for _, f := range st.shape.Context {
			if f.Offset+f.Size <= st.shape.ContextSize && len(list) < maxFlips {
				list = append(list, place{contextPart, i, lowest(&f), 1})
			}
		}
		add(metaPart, i, len(step.Meta))
		add(packetPart, i, len(step.Packet))
		add(chancePart, i, len(step.Chance))
	}
	for i := range st.in.Maps {
		add(mapPart, i, len(st.in.Maps[i].Value))
	}
	return list
}

// lowest returns the offset of a field's least significant byte.
func lowest(f *corpus.Field) int {
	if f.Big {
		return f.Offset + f.Size - 1
	}
	return f.Offset
}

// solve tries what was learnt of a subject, from the exact to the costly.
func (st *study) solve(ctx context.Context, sub *subject) error {
	for _, attempt := range [...]struct {
		technique Technique
		do        func(*study, context.Context, *subject) error
	}{
		{Bytes, (*study).fromForms},
		{Sums, (*study).fromSums},
		{Sums, (*study).fromBits},
		{Climbs, (*study).climb},
	} {
		if !st.engine.Open(sub.Site, sub.taken) {
			return nil
		}
		if !st.uses(attempt.technique) {
			continue
		}
		if err := attempt.do(st, ctx, sub); err != nil {
			return err
		}
	}
	if st.engine.Open(sub.Site, sub.taken) && st.uses(Sweeps) {
		st.plan(sub)
	}
	return nil
}
