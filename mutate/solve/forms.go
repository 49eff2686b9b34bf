package solve

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// form is a way in which bytes may become an operand.
type form struct {
	size       int
	transforms []cover.Transform
}

// forms lists the ways to look for. What the code says of an operand comes first; it
// may lie at another place than was thought, or at one that depends on the input.
func forms(o *cover.Operand) []form {
	var list []form
	switch o.Source {
	case cover.PacketBytes, cover.MetaBytes, cover.ContextField, cover.MapValueBytes, cover.HelperResult:
		list = append(list, form{min(o.Size, 8), o.Transforms})
	}
	for _, size := range [...]int{8, 4, 2, 1} {
		width := uint64(size)
		list = append(list, form{size: size})
		if size > 1 {
			list = append(list, form{size, []cover.Transform{{Action: cover.Swap, Value: width}}})
		}
		if size < 8 {
			list = append(list, form{size, []cover.Transform{{Action: cover.Sext, Value: width}}})
			if size > 1 {
				list = append(list, form{size, []cover.Transform{{Action: cover.Swap, Value: width}, {Action: cover.Sext, Value: width}}})
			}
		}
	}
	return list
}

// fromForms looks for bytes that are an operand, in all samples, and gives them the
// values that are wanted.
func (st *study) fromForms(ctx context.Context, sub *subject) error {
	c := &st.sites[sub.Site]
	found := [2][]match{st.matches(sub, false), st.matches(sub, true)}
	tries := 0
	var first []edit
	for _, w := range wanted(c, sub.Compared, sub.taken) {
		for _, m := range found[index(w.second)] {
			x, ok := invert(m.form.transforms, m.form.size, load(m.place.bytes(st.in)), w.value, w.care)
			if !ok || tries == maxTries {
				continue
			}
			edits := []edit{integer(m.place, x)}
			if tries++; tries == 1 {
				first = edits
			}
			if err := st.try(ctx, st.in, sub.goal, edits); err != nil || !st.engine.Open(sub.Site, sub.taken) {
				return err
			}
		}
	}
	if first == nil {
		return nil
	}
	return st.mend(ctx, st.in, sub.goal, first)
}

// match is a place whose bytes are an operand.
type match struct {
	place place
	form  form
	deps  int // bytes in it that the operand depends on
}

// maxMatches bounds the places that are tried for one operand.
const maxMatches = 4

// matches lists where an operand's bytes are: it must depend on some of them and
// follow every change. It may depend on others as well, which say where to look.
func (st *study) matches(sub *subject, second bool) []match {
	deps := sub.deps[index(second)]
	c := &st.sites[sub.Site]
	o := &c.A
	if second {
		o = &c.B
	}
	var list []match
	for _, f := range forms(o) {
		for i, p := range deps {
			// Up to this byte, and not yet the one before.
			for at := max(p.at-f.size+1, 0); at <= p.at; at++ {
				if i > 0 && deps[i-1].part == p.part && deps[i-1].index == p.index && at <= deps[i-1].at {
					continue
				}
				m := match{place{p.part, p.index, at, f.size}, f, 0}
				if m.place.bytes(st.in) == nil || !st.follows(sub, second, m, c.Size) {
					continue
				}
				for _, q := range deps {
					if q.part == p.part && q.index == p.index && q.at >= at && q.at < at+f.size {
						m.deps++
					}
				}
				list = append(list, m)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b match) int { return b.deps - a.deps })
	return list[:min(len(list), maxMatches)]
}

// follows reports whether an operand is what the match says, in all samples.
func (st *study) follows(sub *subject, second bool, m match, size int) bool {
	o := cover.Operand{Transforms: m.form.transforms}
	bytes := slices.Clone(m.place.bytes(st.in))
	agrees := func(v uint64) bool { return (o.Eval(load(bytes))^v)&widest(size) == 0 }
	if now := [2]uint64{sub.A, sub.B}; !agrees(now[index(second)]) {
		return false
	}
	for _, s := range sub.samples {
		e := st.flips[s.flip]
		i := e.place.at - m.place.at
		if e.place.part != m.place.part || e.place.index != m.place.index || i < 0 || i >= m.place.size {
			continue
		}
		old := bytes[i]
		bytes[i] = e.data[0]
		ok := agrees([2]uint64{s.a, s.b}[index(second)])
		if bytes[i] = old; !ok {
			return false
		}
	}
	return true
}
