package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// grow opens a gap in front of step i, whose contents are still those of the step
// that was there, and returns it, or nil where there is no room. The buffers of
// steps stay where they are: contents move.
func (m *Mutator) grow(i int) *corpus.Step {
	in := m.in
	if len(in.Steps) >= m.maxSteps || in.Grow() == nil {
		return nil
	}
	for k := len(in.Steps) - 1; k > i; k-- {
		in.Steps[k].CopyFrom(&in.Steps[k-1])
	}
	m.moved()
	return &in.Steps[i]
}

// moved says that steps have other contents than before.
func (m *Mutator) moved() {
	m.touched = ^uint64(0)
	m.stale()
}

// repeatStep runs a step twice in a row, or again at the end.
func repeatStep(m *Mutator, s *corpus.Step) bool {
	if m.rand.oneIn(2) {
		return m.grow(m.at) != nil
	}
	end := m.grow(len(m.in.Steps))
	if end == nil {
		return false
	}
	end.CopyFrom(s)
	return true
}

// freshSteps is how many steps a mutator has that are no parent's.
const freshSteps = 32

// makeFresh returns the first steps of seeds.
func makeFresh(shape *corpus.Shape) []corpus.Step {
	var steps []corpus.Step
	for _, in := range Seeds(shape) {
		if steps = append(steps, in.Steps[0]); len(steps) == freshSteps {
			break
		}
	}
	return steps
}

// insertStep adds, in front of a step or behind it, one of a protocol that neither parent
// need have.
func insertStep(m *Mutator, _ *corpus.Step) bool {
	r := m.rand.next()
	s := m.grow(m.at + int(r&1))
	if s == nil {
		return false
	}
	s.CopyFrom(&m.fresh[m.rand.below(len(m.fresh))])
	return true
}

// dropStep removes a step, but not the only one.
func dropStep(m *Mutator, _ *corpus.Step) bool {
	steps := m.in.Steps
	if len(steps) < 2 {
		return false
	}
	for k := m.at; k < len(steps)-1; k++ {
		steps[k].CopyFrom(&steps[k+1])
	}
	m.in.Steps = steps[:len(steps)-1]
	m.at = min(m.at, len(m.in.Steps)-1)
	m.moved()
	return true
}

// swapSteps exchanges the contents of two steps.
func swapSteps(m *Mutator, s *corpus.Step) bool {
	i := m.rand.below(len(m.in.Steps))
	if i == m.at {
		return false
	}
	o := &m.in.Steps[i]
	s.Packet, o.Packet = swapBytes(s.Packet, o.Packet)
	s.Meta, o.Meta = swapBytes(s.Meta, o.Meta)
	s.Context, o.Context = swapBytes(s.Context, o.Context)
	s.Chance, o.Chance = swapBytes(s.Chance, o.Chance)
	s.CPU, o.CPU = o.CPU, s.CPU
	s.Flags, o.Flags = o.Flags, s.Flags
	s.Fault, o.Fault = o.Fault, s.Fault
	m.moved()
	return true
}

// swapBytes exchanges contents, not buffers; what a buffer has no room for is lost.
func swapBytes(a, b []byte) (newA, newB []byte) {
	na, nb := len(a), len(b)
	newA, newB = a[:min(nb, cap(a))], b[:min(na, cap(b))]
	n := min(max(na, nb), cap(a), cap(b))
	a, b = a[:n], b[:n]
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
	return newA, newB
}

// spliceSteps takes a step of the second parent, in addition or instead of one.
func spliceSteps(m *Mutator, s *corpus.Step) bool {
	if m.other == nil || len(m.other.Steps) == 0 {
		return false
	}
	from := &m.other.Steps[m.rand.below(len(m.other.Steps))]
	r := m.rand.next()
	if r&1 == 0 {
		i := m.at + int(r>>1&1)
		if s = m.grow(i); s == nil {
			return false
		}
	}
	s.CopyFrom(from)
	m.moved()
	return true
}
