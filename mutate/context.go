package mutate

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// legalFields returns the shape's context fields that lie inside the context.
func legalFields(shape *corpus.Shape) []corpus.Field {
	for i := range shape.Context {
		if !inside(&shape.Context[i], shape.ContextSize) {
			var legal []corpus.Field
			for _, f := range shape.Context {
				if inside(&f, shape.ContextSize) {
					legal = append(legal, f)
				}
			}
			return legal
		}
	}
	return shape.Context
}

func inside(f *corpus.Field, size int) bool {
	switch f.Size {
	case 1, 2, 4, 8:
		return f.Offset >= 0 && f.Offset+f.Size <= size
	}
	return false
}

// freshContext is a context with the smallest legal value in each field.
func freshContext(shape *corpus.Shape) []byte {
	fresh := make([]byte, shape.ContextSize)
	for _, f := range legalFields(shape) {
		if f.Min > 0 {
			putField(fresh, &f, f.Min)
		}
	}
	return fresh
}

// contextField gives a field of the context another legal value. An empty
// context becomes a full one, whatever then comes of it.
func contextField(m *Mutator, s *corpus.Step) bool {
	if len(s.Context) == 0 && !m.growContext(s) {
		return false
	}
	f := &m.fields[m.rand.below(len(m.fields))]
	if len(s.Context) < f.Offset+f.Size {
		return false
	}
	old := getField(s.Context, f)
	v := clamp(f, m.contextValue(f, old))
	putField(s.Context, f, v)
	return v != old
}

// growContext reports false where the step's buffer is too small.
func (m *Mutator) growContext(s *corpus.Step) bool {
	if cap(s.Context) < len(m.freshContext) {
		return false
	}
	s.Context = s.Context[:len(m.freshContext)]
	copy(s.Context, m.freshContext)
	return true
}

// contextValue chooses a value that still has to be clamped.
func (m *Mutator) contextValue(f *corpus.Field, old uint64) uint64 {
	lo, hi := f.Limits()
	r := m.rand.next()
	switch r & 15 {
	case 0:
		return lo
	case 1:
		return hi
	case 2:
		return old + 1
	case 3:
		return old - 1
	case 4, 5:
		return old ^ 1<<(uint(r>>8)&63%uint(8*f.Size))
	case 6, 7, 8:
		if words := m.dict.words[f.Size]; len(words) > 0 {
			return words[m.rand.below(len(words))]
		}
	case 9, 10:
		return m.rand.between(lo, hi)
	case 11: // small numbers: indexes, counts, enumerations
		return lo + r>>8&15
	}
	if len(f.Values) == 0 {
		return m.rand.between(lo, hi)
	}
	return f.Values[m.rand.below(len(f.Values))]
}

// contextClear goes back to the default context.
func contextClear(_ *Mutator, s *corpus.Step) bool {
	changed := len(s.Context) > 0
	s.Context = s.Context[:0]
	return changed
}

// clamp makes any number a legal value: one that is near where it is just
// outside, so that old+1 and old-1 stay at the limits.
func clamp(f *corpus.Field, v uint64) uint64 { return f.Nearest(v) }

func getField(context []byte, f *corpus.Field) uint64 {
	p := context[f.Offset : f.Offset+f.Size]
	return load(p, f.Size, isBig(f))
}

func putField(context []byte, f *corpus.Field, v uint64) {
	store(context[f.Offset:f.Offset+f.Size], f.Size, v, isBig(f))
}

// isBig reports whether the field is stored in network order on this machine.
func isBig(f *corpus.Field) bool {
	return f.Big || binary.NativeEndian.Uint16([]byte{0, 1}) == 1
}
