package expr

import (
	"math"
	"math/bits"
	"strconv"
)

// sign says which half of the number line a num lies on.
type sign uint8

const (
	unknown sign = iota // there is no such value
	plus                // 0 to 2^64-1
	minus               // -2^63 to -1
)

// num is an exact integer of any field's range, or no value at all. Results
// outside of -2^63 to 2^64-1 are unknown rather than wrapped: an invariant must
// not break because of how it is computed. The zero value is unknown.
type num struct {
	// bits is the number in two's complement.
	bits uint64
	sign sign
}

func natural(v uint64) num { return num{v, plus} }

func integer(v int64) num {
	if v < 0 {
		return num{uint64(v), minus}
	}
	return num{uint64(v), plus}
}

// compare returns -1, 0 or 1; both have to be known.
func (a num) compare(b num) int {
	switch {
	case a.sign != b.sign && a.sign == minus, a.sign == b.sign && a.bits < b.bits:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// abs returns the magnitude, which is at most 2^63 where a is negative.
func (a num) abs() uint64 {
	if a.sign == minus {
		return -a.bits
	}
	return a.bits
}

// signed is the number of the given magnitude.
func signed(negative bool, magnitude uint64) num {
	switch {
	case !negative || magnitude == 0:
		return num{magnitude, plus}
	case magnitude > 1<<63:
		return num{}
	}
	return num{-magnitude, minus}
}

func (a num) String() string {
	switch a.sign {
	case plus:
		return strconv.FormatUint(a.bits, 10)
	case minus:
		return strconv.FormatInt(int64(a.bits), 10)
	}
	return "absent"
}

func negate(a num) num {
	if a.sign == unknown {
		return num{}
	}
	return signed(a.sign == plus, a.abs())
}

func add(a, b num) num {
	if a.sign == unknown || b.sign == unknown {
		return num{}
	}
	if a.sign == b.sign {
		sum, carry := bits.Add64(a.abs(), b.abs(), 0)
		if carry != 0 {
			return num{}
		}
		return signed(a.sign == minus, sum)
	}
	if x, y := a.abs(), b.abs(); x < y {
		return signed(b.sign == minus, y-x)
	} else {
		return signed(a.sign == minus, x-y)
	}
}

func subtract(a, b num) num {
	if a.sign == plus && b.sign == plus { // 0 - 2^64-1 has no negation
		return signed(a.bits < b.bits, max(a.bits, b.bits)-min(a.bits, b.bits))
	}
	return add(a, negate(b))
}

func multiply(a, b num) num {
	high, low := bits.Mul64(a.abs(), b.abs())
	if a.sign == unknown || b.sign == unknown || high != 0 {
		return num{}
	}
	return signed(a.sign != b.sign, low)
}

// divide rounds towards zero, as C does.
func divide(a, b num) num {
	if a.sign == unknown || b.sign == unknown || b.bits == 0 {
		return num{}
	}
	return signed(a.sign != b.sign, a.abs()/b.abs())
}

// modulo has the sign of a, as in C.
func modulo(a, b num) num {
	if a.sign == unknown || b.sign == unknown || b.bits == 0 {
		return num{}
	}
	return signed(a.sign == minus, a.abs()%b.abs())
}

// bitwise makes an operation on 64 bits one on numbers that are not negative.
func bitwise(op func(a, b uint64) uint64) func(a, b num) num {
	return func(a, b num) num {
		if a.sign != plus || b.sign != plus {
			return num{}
		}
		return natural(op(a.bits, b.bits))
	}
}

// complement is that of 64 bits.
func complement(a num) num {
	if a.sign != plus {
		return num{}
	}
	return natural(a.bits ^ math.MaxUint64)
}
