package solve

import (
	mathbits "math/bits"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// want is a value of an operand that makes a comparison go the other way. Only the
// bits of care matter.
type want struct {
	second bool // of operand B
	value  uint64
	care   uint64
}

// steps are by how much an ordered comparison is passed: just so, and further for
// operands that are multiples of something.
var steps = [...]uint64{0, 1, 2, 4, 8, 16}

// wanted lists the values, the nearest first, with which the comparison is taken, or
// is not, while the other operand stays as it is.
func wanted(c *cover.Comparison, got cover.Compared, taken bool) []want {
	r := c.Relation
	if !taken {
		r = r.Negated()
	}
	list := operand(c, r, got.A, got.B, false, nil)
	if !c.Constant {
		list = operand(c, mirrored(r), got.B, got.A, true, list)
	}
	fits := list[:0]
	for _, w := range list {
		a, b := got.A, got.B
		if w.second {
			b = b&^w.care | w.value&w.care
		} else {
			a = a&^w.care | w.value&w.care
		}
		if c.Holds(a, b) == taken {
			fits = append(fits, w)
		}
	}
	return fits
}

// mirrored returns what holds between B and A when r holds between A and B.
func mirrored(r cover.Relation) cover.Relation {
	switch r {
	case cover.Less:
		return cover.Greater
	case cover.LessEqual:
		return cover.GreaterEqual
	case cover.Greater:
		return cover.Less
	case cover.GreaterEqual:
		return cover.LessEqual
	}
	return r
}

// operand appends values for an operand that is now v, such that r holds between it
// and other.
func operand(c *cover.Comparison, r cover.Relation, v, other uint64, second bool, list []want) []want {
	all := widest(c.Size)
	add := func(value, care uint64) { list = append(list, want{second, value & care, care}) }
	lowest, highest := uint64(0), all
	if c.Signed {
		lowest, highest = all>>1+1, all>>1
	}
	switch r {
	case cover.Equal:
		add(other, all)
	case cover.NotEqual:
		add(v+1, all)
		add(v^1, all)
		for bit := range 8 * c.Size {
			add(v^1<<bit, all)
		}
	case cover.Less, cover.LessEqual:
		for _, step := range steps {
			add(other-step, all)
		}
		add(lowest, all)
	case cover.Greater, cover.GreaterEqual:
		for _, step := range steps {
			add(other+step, all)
		}
		add(highest, all)
	case cover.AnyBit:
		for rest := other & all; rest != 0; rest &= rest - 1 {
			bit := uint64(1) << mathbits.TrailingZeros64(rest)
			add(bit, bit)
		}
	case cover.NoBit:
		add(0, other&all)
	}
	return list
}
