package verifier

import (
	"math"
	"testing"
)

func TestParseScalar(t *testing.T) {
	signed := func(change func(*Bounds)) Bounds { b := Anything(); change(&b); return b }
	for _, tt := range []struct {
		name, text string
		want       Bounds
		ok         bool
	}{
		{"constant", "6", Exactly(6), true},
		{"precise constant", "P6", Exactly(6), true},
		{"negative constant", "-1", Exactly(math.MaxUint64), true},
		{"large constant", "0xffffffffffff0000", Exactly(0xffffffffffff0000), true},
		{"unknown", "scalar()", Anything(), true},
		{"equal to another", "scalar(id=3)", Anything(), true},
		{"equal but for a constant", "scalar(id=3+4)", Anything(), true},
		{"byte", "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))", Sized(1), true},
		{"word of 6.1", "Pscalar(umax=4294967295,var_off=(0x0; 0xffffffff))", signed(func(b *Bounds) { b.Umax, b.Mask = math.MaxUint32, math.MaxUint32 }), true},
		{"signed", "scalar(smin=-99,smax=8089)", signed(func(b *Bounds) { b.Smin, b.Smax = -99, 8089 }), true},
		{"halves of 6.1", "scalar(s32_min=-5,s32_max=7,u32_min=1,u32_max=9)", signed(func(b *Bounds) { b.Smin32, b.Smax32, b.Umin32, b.Umax32 = -5, 7, 1, 9 }), true},
		{"hexadecimal negative", "scalar(smin=0x8000000000000000,smin32=0x80000001)", signed(func(b *Bounds) { b.Smin32 = -math.MaxInt32 }), true},
		{"packet", "pkt(off=14,r=14)", Bounds{}, false},
		{"frame", "fp-24", Bounds{}, false},
		{"context", "ctx()", Bounds{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := parseScalar(tt.text)
			if err != nil || ok != tt.ok || got != tt.want {
				t.Errorf("%+v, %v, %v; want %+v, %v", got, ok, err, tt.want, tt.ok)
			}
		})
	}
}

func TestParseScalarRefuses(t *testing.T) {
	for _, text := range []string{"scalar(", "scalar(umax)", "scalar(umax=x)", "scalar(colour=1)", "scalar(var_off=(0x0))", "scalar(var_off=(0x0; 1)", "12x", "-"} {
		if b, _, err := parseScalar(text); err == nil {
			t.Errorf("%q is %v", text, b)
		}
	}
}

// A claim holds for exactly the values that each of its parts allows.
func TestBoundsHold(t *testing.T) {
	even := Anything()
	even.Value, even.Mask = 0, math.MaxUint64-1
	low := Anything()
	low.Smin, low.Smax = -5, 5
	half := Anything()
	half.Smin32, half.Smax32 = -2, -1
	for _, tt := range []struct {
		name   string
		b      Bounds
		in     []uint64
		beyond []uint64
	}{
		{"byte", Sized(1), []uint64{0, 255}, []uint64{256, math.MaxUint64}},
		{"word", Sized(4), []uint64{0, 1 << 31, math.MaxUint32}, []uint64{1 << 32}},
		{"everything", Sized(8), []uint64{0, math.MaxUint64, 1 << 63}, nil},
		{"constant", Exactly(7), []uint64{7}, []uint64{6, 8, 7 | 1<<63}},
		{"even", even, []uint64{0, 2, math.MaxUint64 - 1}, []uint64{1, math.MaxUint64}},
		{"signed", low, []uint64{0, 5, math.MaxUint64 - 4}, []uint64{6, math.MaxUint64 - 5}},
		{"signed half", half, []uint64{math.MaxUint32, math.MaxUint32 - 1, 0xff_ffff_ffff}, []uint64{0, 1, math.MaxUint32 - 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range tt.in {
				if !tt.b.Holds(v) {
					t.Errorf("%v does not hold for %#x", tt.b, v)
				}
			}
			for _, v := range tt.beyond {
				if tt.b.Holds(v) {
					t.Errorf("%v holds for %#x", tt.b, v)
				}
			}
		})
	}
}

func TestBoundsJoin(t *testing.T) {
	if got := Exactly(4).Join(Exactly(6)); got.Umin != 4 || got.Umax != 6 || got.Value != 4 || got.Mask != 2 {
		t.Errorf("4 or 6 is %+v", got)
	}
	if !Sized(1).Within(Sized(2)) || Sized(2).Within(Sized(1)) || !Sized(4).Within(Anything()) {
		t.Error("sizes are not within each other as they should be")
	}
}
