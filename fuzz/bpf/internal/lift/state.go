package lift

import "github.com/cilium/ebpf/asm"

// stackSize is the kernel's limit for one frame.
const stackSize = 512

// cell is a byte on the stack: the index-th of the bytes in which v was stored.
type cell struct {
	v     *value
	index uint8
	size  uint8
}

// state is what is known at one point of a function.
type state struct {
	regs [11]*value
	// stack has the bytes below r10, the deepest first; a nil v is nothing.
	stack [stackSize]cell
}

func newState() *state {
	s := &state{}
	for i := range s.regs {
		s.regs[i] = top
	}
	s.forget()
	s.regs[asm.R10] = address(stackFrame, "", 0, true)
	return s
}

// forget makes the whole stack unknown.
func (s *state) forget() {
	for i := range s.stack {
		s.stack[i] = cell{v: top}
	}
}

// join merges from into s and reports whether s changed.
func (s *state) join(from *state) bool {
	changed := false
	for i, v := range s.regs {
		if merged := join(v, from.regs[i]); merged != v && !merged.same(v) {
			s.regs[i], changed = merged, true
		}
	}
	for i := range s.stack {
		a, b := &s.stack[i], &from.stack[i]
		if *a == *b || a.v == top {
			continue
		}
		merged := top
		if a.index == b.index && a.size == b.size {
			merged = join(a.v, b.v)
		}
		if merged != a.v && !merged.same(a.v) {
			a.v, changed = merged, true
		}
	}
	return changed
}

// at returns the index of the byte at an offset of the frame; ok is false where there
// are no size bytes.
func at(off int64, size int) (i int, ok bool) {
	return int(off + stackSize), off >= -stackSize && off+int64(size) <= 0
}

// put stores the lower size bytes of v.
func (s *state) put(off int64, size int, v *value) {
	i, ok := at(off, size)
	if !ok {
		return
	}
	for n := range size {
		s.stack[i+n] = cell{v: v, index: uint8(n), size: uint8(size)}
	}
}

// get returns the integer or pointer in size bytes of the frame.
func (s *state) get(off int64, size int) *value {
	i, ok := at(off, size)
	if !ok {
		return top
	}
	first := s.stack[i]
	for n := range size {
		if c := s.stack[i+n]; c.v != first.v || int(c.index) != int(first.index)+n || c.size != first.size {
			return s.assemble(i, size)
		}
	}
	if first.index == 0 && int(first.size) == size {
		if size < 8 {
			return cut(first.v, size)
		}
		return first.v
	}
	return cut(shifted(first.v, 8*int(first.index)), size)
}

// assemble puts a value together from bytes that were stored one by one or in other
// sizes.
func (s *state) assemble(i, size int) *value {
	v := s.piece(i)
	for n := 1; n < size; n++ {
		v = merge(v, s.piece(i+n).with(lsh, uint64(8*n)))
	}
	return v
}

// piece returns the byte at index i of the stack.
func (s *state) piece(i int) *value {
	c := s.stack[i]
	return cut(shifted(c.v, 8*int(c.index)), 1)
}
