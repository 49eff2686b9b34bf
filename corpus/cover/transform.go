package cover

import mathbits "math/bits"

// Eval returns the operand's value for the bytes x that were loaded.
func (o *Operand) Eval(x uint64) uint64 {
	for _, t := range o.Transforms {
		x = t.Apply(x)
	}
	return x
}

// Apply returns what the transform makes of x.
func (t Transform) Apply(x uint64) uint64 {
	switch v := t.Value; t.Action {
	case And:
		return x & v
	case Or:
		return x | v
	case Xor:
		return x ^ v
	case Add:
		return x + v
	case Mul:
		return x * v
	case Lsh:
		return x << v
	case Rsh:
		return x >> v
	case Arsh:
		return uint64(int64(x) >> v)
	case Swap:
		return mathbits.ReverseBytes64(x) >> (64 - 8*min(v, 8)&63)
	case Sext:
		return uint64(int64(x<<t.spare()) >> t.spare())
	case Neg:
		return -x
	case Cut:
		return x << t.spare() >> t.spare()
	}
	return x
}

// spare is how many upper bits of 64 do not belong to the lower Value bytes.
func (t Transform) spare() uint64 { return 64 - 8*min(t.Value, 8) }
