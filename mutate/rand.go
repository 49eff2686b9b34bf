package mutate

import "math/bits"

// source is a wyrand generator: one multiplication per number, which leaves most
// of an execution's few hundred nanoseconds to the program under test.
type source struct {
	state uint64
	// script, where not empty, is returned number by number before the generator
	// goes on. Tests inject it.
	script []uint64
}

// seed mixes its argument, so that neighbouring seeds give unrelated numbers.
func (r *source) seed(seed uint64) {
	seed += 0x9e3779b97f4a7c15
	seed = (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
	seed = (seed ^ seed>>27) * 0x94d049bb133111eb
	r.state = seed ^ seed>>31
}

func (r *source) next() uint64 {
	if len(r.script) > 0 {
		return r.scripted()
	}
	r.state += 0xa0761d6478bd642f
	hi, lo := bits.Mul64(r.state, r.state^0xe7037ed1a0b428db)
	return hi ^ lo
}

func (r *source) scripted() uint64 {
	v := r.script[0]
	r.script = r.script[1:]
	return v
}

// below returns a number in [0, n), and 0 for n <= 0. It takes the high bits.
func (r *source) below(n int) int {
	if n <= 0 {
		return 0
	}
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// between returns a number in the closed range.
func (r *source) between(lo, hi uint64) uint64 {
	if span := hi - lo + 1; span != 0 {
		v, _ := bits.Mul64(r.next(), span)
		return lo + v
	}
	return r.next()
}

// oneIn is true once in n times; n is a power of two. It takes the low bits.
func (r *source) oneIn(n uint64) bool { return r.next()&(n-1) == 0 }

// wrap brings i, which is below 2n, back below n: searches start anywhere and go
// round, without a division.
func wrap(i, n int) int {
	if i >= n {
		return i - n
	}
	return i
}
