package triage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// What passes without a look at the headers is nothing that the full check objects
// to, whatever programs do to whatever packets.
func TestUnharmedIsNeverWrong(t *testing.T) {
	r, seeds := rand.New(rand.NewPCG(3, 4)), unharmedSeeds()
	var changed, passed, objected, overlong int
	for range 300_000 {
		before, after := randomPair(r, seeds)
		var c comparison
		_, blame := c.broken(before, after)
		h, w, length := new(comparison).overlong(before, after)
		if length != "" {
			overlong++
		}
		checkFit(t, after)
		switch fast := unharmed(before, after); {
		case fast && blame != "":
			t.Fatalf("the checksum %s, which was overlooked:\n%x\n%x", blame, before, after)
		case fast && length != "":
			t.Fatalf("%v.%s at %d %s, which was overlooked:\n%x\n%x", h.Layer, w.Field, h.Off, length, before, after)
		case fast:
			passed++
		case blame != "":
			objected++
		}
		changed++
	}
	if passed < changed/8 || objected < changed/20 || overlong < changed/50 {
		t.Errorf("%d of %d passed at once, the checksums of %d and lengths of %d were objected to", passed, changed, objected, overlong)
	}
}

// checkFit holds what tells quickly whether lengths are right against the full check.
func checkFit(t *testing.T, b []byte) {
	t.Helper()
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	full := right
	for i := range l.N {
		if _, bad := l.WrongLength(b, i); bad && (!quoted(&l, i) || fit(b) == wrong) {
			full = wrong
		}
	}
	if fast := fit(b); fast != unknown && fast != full {
		t.Fatalf("lengths are %d, and quickly %d:\n%x", full, fast, b)
	}
}

// randomPair returns a packet before and after something was done to it.
func randomPair(r *rand.Rand, seeds [][]byte) (before, after []byte) {
	before = bytes.Clone(seeds[r.IntN(len(seeds))])
	if r.IntN(3) == 0 {
		before[r.IntN(len(before))] ^= 1 << r.IntN(8)
	}
	if r.IntN(8) == 0 {
		zeroSums(before)
	}
	if r.IntN(8) == 0 {
		before = before[:min(len(before), 14+r.IntN(60))]
	}
	after = bytes.Clone(before)
	for range max(1, r.IntN(6)-2) {
		rewrite(r, after)
	}
	switch r.IntN(8) {
	case 0, 1, 2:
		fixed(after)
	case 3:
		if len(after) >= 14 {
			after = encapsulated(after)
		}
		if r.IntN(2) == 0 {
			rewrite(r, after)
		}
	case 4:
		if len(after) >= 14 {
			after = tagged(after)
		}
	case 5:
		zeroSums(after)
	}
	return before, after
}

// unharmedSeeds are packets of all kinds, with payloads up to beyond the window.
func unharmedSeeds() (seeds [][]byte) {
	for _, in := range mutate.Seeds(xdpShape()) {
		for i := range in.Steps {
			for _, more := range []int{0, 1, 100} {
				if p := in.Steps[i].Packet; len(p) > 0 {
					seeds = append(seeds, fixed(append(bytes.Clone(p), make([]byte, more)...)))
				}
			}
		}
	}
	return seeds
}

// rewrite does to a packet what programs do, and some of what they should not.
func rewrite(r *rand.Rand, b []byte) {
	at := func(below int) int { return r.IntN(min(len(b), below)) }
	switch r.IntN(8) {
	case 0: // anywhere
		b[at(len(b))] = byte(r.Uint32())
	case 1: // in the headers
		b[at(80)] ^= 1 << r.IntN(8)
	case 2: // addresses of Ethernet
		b[at(12)]++
	case 3: // two words change places, of which no sum knows
		i, k := at(80)&^1, at(80)&^1
		if max(i, k)+2 <= len(b) {
			b[i], b[i+1], b[k], b[k+1] = b[k], b[k+1], b[i], b[i+1]
		}
	case 4, 5, 6: // what one loses another gets, carry or not
		i, k := at(40), at(80)
		if k&1 != i&1 {
			k ^= 1
		}
		if d := byte(1 << r.IntN(8)); min(i, k) >= 14 && max(i, k) < len(b) {
			b[i] += d
			b[k] -= d
		}
	case 7: // the sum's two zeros
		if i := at(80) &^ 1; i+2 <= len(b) {
			v := byte(r.IntN(2)) * 0xff
			b[i], b[i+1] = v, v
		}
	}
}

func zeroSums(b []byte) {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	for _, h := range l.Headers[:l.N] {
		if h.Layer == packet.UDP && h.Len >= 8 {
			b[h.Off+6], b[h.Off+7] = 0, 0
		}
	}
}

func TestDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := 8; n <= window; n++ {
		for range 20 {
			a, b := make([]byte, n), make([]byte, n)
			for range 1 + r.IntN(3) {
				b[r.IntN(n)] = byte(1 + r.IntN(255))
			}
			d, ok := differing(a, b)
			if !ok {
				t.Fatalf("%d bytes cannot be compared", n)
			}
			for i := range window {
				want := i < n && a[i] != b[i]
				if i+1 < window && d.in(i, i+1) != want {
					t.Fatalf("%x: byte %d differs %v", b, i, !want)
				}
				if want && d.last() < i {
					t.Fatalf("%x: byte %d is behind the last", b, i)
				}
			}
		}
	}
	if d, ok := differing(make([]byte, 64), make([]byte, 64)); !ok || d.last() != -1 {
		t.Errorf("equal packets differ at %d", d.last())
	}
	long := make([]byte, window+1)
	long[window] = 1
	if _, ok := differing(make([]byte, window+1), long); ok {
		t.Error("a difference beyond the window was overlooked")
	}
}

// The gate lets nothing pass that one of the oracles objects to, and asks them
// where it does not know.
func TestGateAgreesWithOracles(t *testing.T) {
	r, seeds := rand.New(rand.NewPCG(7, 8)), unharmedSeeds()
	rets := []uint32{0, 1, 2, 3, 4, 5, 7, 62, 63, 64, 66, 0xffffffff, 0xfffffffe, 0x80000000}
	for n, shape := range []*corpus.Shape{xdpShape(), tcShape(), tcShape()} {
		enable := map[string]bool{"checksum-broken": n < 2}
		if shape.Type == "xdp" {
			enable["aborted"] = true
		}
		oracles, relations, err := Oracles(shape, OracleOptions{Enable: enable})
		if err != nil {
			t.Fatal(err)
		}
		odd := func(ret uint32) bool { return ret&1 == 1 || ret == 2 }
		j := NewJudge(append(oracles, Oracle{
			Name: "odd", Need: corpus.HaveRet, Returns: odd,
			Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
				if odd(out.Steps[0].Ret) {
					return nil
				}
				return errors.New("even")
			},
		}), relations)
		for range 20_000 {
			before, after := randomPair(r, seeds)
			in := inputOf(before)
			out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{
				{Ret: rets[r.IntN(len(rets))], Packet: after},
			}}
			if r.IntN(3) == 0 {
				out.Steps[0].Packet = before
			}
			var want error
			for i := range j.every {
				if want == nil {
					want = j.every[i].Judge(in, out)
				}
			}
			if got := j.Every(in, out); (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
				t.Fatalf("%s returned %d: %v, want %v", shape.Type, out.Steps[0].Ret, got, want)
			}
		}
	}
}

func FuzzUnharmed(f *testing.F) {
	r, seeds := rand.New(rand.NewPCG(9, 10)), unharmedSeeds()
	for range 200 {
		before, after := randomPair(r, seeds)
		f.Add(before, after)
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		var c comparison
		if _, blame := c.broken(before, after); blame != "" && unharmed(before, after) {
			t.Errorf("the checksum %s, which was overlooked", blame)
		}
		if _, w, blame := new(comparison).overlong(before, after); blame != "" && unharmed(before, after) {
			t.Errorf("%s %s, which was overlooked", w.Field, blame)
		}
	})
}
