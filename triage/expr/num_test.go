package expr

import (
	"math"
	"math/big"
	"testing"
)

func bigOf(n num) *big.Int {
	if n.sign == minus {
		return big.NewInt(int64(n.bits))
	}
	return new(big.Int).SetUint64(n.bits)
}

// numOf is unknown for numbers outside of the range.
func numOf(b *big.Int) num {
	switch {
	case b.IsInt64():
		return integer(b.Int64())
	case b.IsUint64():
		return natural(b.Uint64())
	}
	return num{}
}

func edges() []num {
	return []num{
		natural(0), natural(1), natural(2), natural(7), natural(255), natural(math.MaxInt64), natural(1 << 63), natural(math.MaxUint64 - 1),
		natural(math.MaxUint64), natural(1 << 32), integer(-1), integer(-2), integer(-7), integer(-256), integer(math.MinInt64), integer(math.MinInt64 + 1),
	}
}

func TestArithmetic(t *testing.T) {
	tests := []struct {
		name string
		op   func(a, b num) num
		want func(z, a, b *big.Int) *big.Int
	}{
		{"add", add, (*big.Int).Add},
		{"subtract", subtract, (*big.Int).Sub},
		{"multiply", multiply, (*big.Int).Mul},
		{"divide", divide, (*big.Int).Quo},
		{"modulo", modulo, (*big.Int).Rem},
	}
	for _, tt := range tests {
		for _, a := range edges() {
			for _, b := range edges() {
				divides := tt.name == "divide" || tt.name == "modulo"
				want := num{}
				if !divides || b.bits != 0 {
					want = numOf(tt.want(new(big.Int), bigOf(a), bigOf(b)))
				}
				if got := tt.op(a, b); got.String() != want.String() || got.sign != want.sign {
					t.Errorf("%s of %s and %s is %s, want %s", tt.name, a, b, got, want)
				}
			}
			if tt.op(a, num{}).sign != unknown || tt.op(num{}, a).sign != unknown {
				t.Errorf("%s of %s and nothing is something", tt.name, a)
			}
		}
	}
}

func TestCompareAndNegate(t *testing.T) {
	for _, a := range edges() {
		for _, b := range edges() {
			if got, want := a.compare(b), bigOf(a).Cmp(bigOf(b)); got != want {
				t.Errorf("%s compared with %s is %d, want %d", a, b, got, want)
			}
		}
		if got, want := negate(a), numOf(new(big.Int).Neg(bigOf(a))); got.String() != want.String() {
			t.Errorf("-(%s) is %s, want %s", a, got, want)
		}
	}
}

func TestStore(t *testing.T) {
	tests := []struct {
		n    num
		size int
		fits bool
	}{
		{natural(255), 1, true},
		{natural(256), 1, false},
		{integer(-128), 1, true},
		{integer(-129), 1, false},
		{natural(0xffff), 2, true},
		{natural(0x10000), 2, false},
		{natural(1 << 32), 4, false},
		{natural(math.MaxUint64), 8, true},
		{integer(math.MinInt64), 8, true},
		{integer(math.MinInt64), 4, false},
		{num{}, 8, false},
		{natural(1), 3, false},
		{natural(1), 0, false},
	}
	for _, tt := range tests {
		for _, big := range []bool{false, true} {
			b := make([]byte, 8)
			if got := store(b, tt.n, tt.size, big); got != tt.fits {
				t.Errorf("%s in %d bytes: %v, want %v", tt.n, tt.size, got, tt.fits)
			} else if got && tt.n.sign == plus && load(b, tt.size, big) != tt.n {
				t.Errorf("%s in %d bytes reads back as %s", tt.n, tt.size, load(b, tt.size, big))
			}
		}
	}
	if store(make([]byte, 1), natural(1), 2, true) {
		t.Error("two bytes fit one")
	}
}
