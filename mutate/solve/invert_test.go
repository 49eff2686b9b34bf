package solve

import (
	"math/rand/v2"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

func step(a cover.Action, v uint64) cover.Transform { return cover.Transform{Action: a, Value: v} }

func TestInvertFindsWhatThereIs(t *testing.T) {
	all := ^uint64(0)
	for name, test := range map[string]struct {
		transforms      []cover.Transform
		size            int
		old, want, care uint64
		x               uint64
		ok              bool
	}{
		"nothing to undo":        {nil, 2, 7, 0x1234, all, 0x1234, true},
		"too wide":               {nil, 1, 7, 0x1234, all, 0, false},
		"low nibble times four":  {[]cover.Transform{step(cover.And, 15), step(cover.Lsh, 2)}, 1, 0x45, 24, all, 0x46, true},
		"not a multiple":         {[]cover.Transform{step(cover.Lsh, 2)}, 1, 0x45, 25, all, 0, false},
		"network order":          {[]cover.Transform{step(cover.Swap, 2)}, 2, 0, 0x0800, all, 0x0008, true},
		"high nibble":            {[]cover.Transform{step(cover.Rsh, 4)}, 1, 0x45, 6, all, 0x65, true},
		"outside a mask":         {[]cover.Transform{step(cover.And, 0x1f)}, 2, 0, 0x20, all, 0, false},
		"a bit that is always 1": {[]cover.Transform{step(cover.Or, 1)}, 2, 0, 4, all, 0, false},
		"sum":                    {[]cover.Transform{step(cover.Add, all)}, 4, 9, 0x1233, all, 0x1234, true},
		"sum of half":            {[]cover.Transform{step(cover.Add, 0xffffffff), step(cover.Cut, 4)}, 4, 9, 0xffffffff, 0xffffffff, 0, true},
		"product of an odd":      {[]cover.Transform{step(cover.Mul, 0x9e3779b1), step(cover.Cut, 4)}, 4, 0, 0x9e3779b1, 0xffffffff, 1, true},
		"product of an even":     {[]cover.Transform{step(cover.Mul, 6)}, 4, 0, 42, all, 7, true},
		"no product":             {[]cover.Transform{step(cover.Mul, 6)}, 4, 0, 43, all, 0, false},
		"sign":                   {[]cover.Transform{step(cover.Sext, 1)}, 1, 0, all, all, 0xff, true},
		"no sign":                {[]cover.Transform{step(cover.Sext, 1)}, 1, 0, 0x80, all, 0, false},
		"sign shifted in":        {[]cover.Transform{step(cover.Lsh, 56), step(cover.Arsh, 56)}, 1, 0, all - 1, all, 0xfe, true},
		"negated":                {[]cover.Transform{step(cover.Neg, 0), step(cover.Cut, 1)}, 1, 0, 3, all, 0xfd, true},
		"bits that do not matter": {
			[]cover.Transform{step(cover.Swap, 2)}, 2, 0xabcd, 0x2000, 0x2000, 0xabed, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x, ok := invert(test.transforms, test.size, test.old, test.want, test.care)
			if ok != test.ok || ok && x != test.x {
				t.Errorf("%#x, %v; want %#x, %v", x, ok, test.x, test.ok)
			}
		})
	}
}

// TestInvertUndoesEval makes random transforms and asks for values that they can give.
func TestInvertUndoesEval(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	failed := 0
	const rounds = 20_000
	for range rounds {
		o := cover.Operand{Size: 1 << rng.IntN(4)}
		for range rng.IntN(6) {
			o.Transforms = append(o.Transforms, randomTransform(rng))
		}
		care := ^uint64(0)
		if rng.IntN(2) == 0 {
			care = 0xffffffff
		}
		want := o.Eval(rng.Uint64() & widest(o.Size))
		x, ok := invert(o.Transforms, o.Size, rng.Uint64()&widest(o.Size), want, care)
		if !ok {
			failed++
			continue
		}
		if (o.Eval(x)^want)&care != 0 || x&^widest(o.Size) != 0 {
			t.Fatalf("%+v: %#x gives %#x, want %#x", o, x, o.Eval(x), want)
		}
	}
	// Where bits that are lost feed a carry, there can be answers that are not found.
	if failed > rounds/10 {
		t.Errorf("%d of %d not found", failed, rounds)
	}
}

func randomTransform(rng *rand.Rand) cover.Transform {
	t := cover.Transform{Action: cover.Action(rng.IntN(int(cover.Cut) + 1))}
	switch t.Action {
	case cover.Lsh, cover.Rsh, cover.Arsh:
		t.Value = uint64(rng.IntN(40))
	case cover.Swap:
		t.Value = 2 << rng.IntN(3)
	case cover.Sext, cover.Cut:
		t.Value = 1 << rng.IntN(3)
	case cover.Neg:
	default:
		t.Value = rng.Uint64() >> rng.IntN(60)
	}
	return t
}
