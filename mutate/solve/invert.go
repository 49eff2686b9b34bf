package solve

import (
	mathbits "math/bits"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// invert returns bytes x, near old, of which the transforms make a value that agrees
// with want in the bits of care; ok is false when there are none. Bits that do not
// matter stay as they are in old.
func invert(transforms []cover.Transform, size int, old, want, care uint64) (x uint64, ok bool) {
	var before [maxTransforms]uint64 // the value ahead of each transform
	if len(transforms) > maxTransforms {
		return 0, false
	}
	value := old
	for i, t := range transforms {
		before[i] = value
		value = t.Apply(value)
	}
	b := bits{want & care, care}
	for i := len(transforms) - 1; i >= 0; i-- {
		if b, ok = b.undo(transforms[i], transforms[i].Apply(before[i])); !ok {
			return 0, false
		}
	}
	if b.value&b.care&^widest(size) != 0 {
		return 0, false
	}
	x = (b.value&b.care | old&^b.care) & widest(size)
	o := cover.Operand{Transforms: transforms}
	return x, (o.Eval(x)^want)&care == 0
}

// maxTransforms bounds the transforms of an operand that is inverted.
const maxTransforms = 32

// widest is the largest integer of size bytes.
func widest(size int) uint64 { return ^uint64(0) >> (64 - 8*uint(size)) }

// bits are those of an integer that matter, the ones in care, and what they have to be.
type bits struct{ value, care uint64 }

// undo returns what has to be ahead of a transform for b to be behind it; was is
// what is behind it now, of which bits are taken that do not matter.
func (b bits) undo(t cover.Transform, was uint64) (bits, bool) {
	v := t.Value
	switch t.Action {
	case cover.And:
		return bits{b.value, b.care & v}, b.value&b.care&^v == 0
	case cover.Or:
		return bits{b.value, b.care &^ v}, ^b.value&b.care&v == 0
	case cover.Xor:
		return bits{b.value ^ v, b.care}, true
	case cover.Add:
		b = b.carried(was)
		return bits{b.value - v, b.care}, true
	case cover.Neg:
		b = b.carried(was)
		return bits{-b.value, b.care}, true
	case cover.Mul:
		return b.divided(v, was)
	case cover.Lsh:
		return bits{b.value >> v, b.care >> v}, v < 64 && b.value&b.care&(1<<v-1) == 0
	case cover.Rsh:
		return bits{b.value << v, b.care << v}, v < 64 && b.value&b.care<<v>>v == b.value&b.care
	case cover.Arsh:
		return b.unshifted(v)
	case cover.Swap:
		if b.value&b.care&^widest(int(v)) != 0 {
			return b, false
		}
		return bits{t.Apply(b.value), t.Apply(b.care)}, true
	case cover.Sext:
		return b.unextended(8 * v)
	case cover.Cut:
		return bits{b.value, b.care & widest(int(v))}, b.value&b.care&^widest(int(v)) == 0
	}
	return b, false
}

// carried makes all bits matter that a carry comes from, as they are now.
func (b bits) carried(was uint64) bits {
	all := ^uint64(0) >> mathbits.LeadingZeros64(b.care)
	return bits{(b.value&b.care | was&^b.care) & all, all}
}

func (b bits) divided(v, was uint64) (bits, bool) {
	if v == 0 {
		return bits{}, b.value&b.care == 0
	}
	b = b.carried(was)
	zeros := mathbits.TrailingZeros64(v)
	if b.value&(1<<zeros-1) != 0 {
		return b, false
	}
	return bits{b.value >> zeros * inverse(v>>zeros), b.care >> zeros}, true
}

// inverse returns the number that an odd number has to be multiplied with for 1.
func inverse(odd uint64) uint64 {
	x := odd // right in 3 bits, and each round doubles them
	for range 5 {
		x *= 2 - odd*x
	}
	return x
}

func (b bits) unshifted(v uint64) (bits, bool) {
	if v == 0 || v >= 64 {
		return b, v == 0
	}
	out := bits{b.value << v, b.care << v}
	return out.withSign(b, 63, ^uint64(0)<<(63-v))
}

func (b bits) unextended(width uint64) (bits, bool) {
	if width == 0 || width >= 64 {
		return b, width == 64
	}
	low := uint64(1)<<width - 1
	out := bits{b.value & low, b.care & low}
	return out.withSign(b, width-1, ^low|1<<(width-1))
}

// withSign makes bit sign of out what the copies of it, a mask, have to be in b.
func (b bits) withSign(from bits, sign, copies uint64) (bits, bool) {
	wanted := from.care & copies
	switch from.value & wanted {
	case 0:
		b.value &^= 1 << sign
	case wanted:
		b.value |= 1 << sign
	default:
		return b, false
	}
	if wanted != 0 {
		b.care |= 1 << sign
	}
	return b, true
}
