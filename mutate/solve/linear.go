package solve

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

const (
	// maxBits bounds the bits of the input that a system of equations has.
	maxBits = 256
	// maxWords bounds the words that a sum is tried to be of.
	maxWords = 6
)

// target is what has to change: operand second, or where both is set the difference
// of the two, by delta.
func (st *study) target(sub *subject) (w want, ok bool) {
	list := wanted(&st.sites[sub.Site], sub.Compared, sub.taken)
	for _, w := range list {
		if len(sub.deps[index(w.second)]) > 0 {
			return w, true
		}
	}
	return want{}, false
}

// fromSums takes an operand for a sum, as checksums are, and adds what is missing to
// one of its words: modulo their size, or of ones' complement.
func (st *study) fromSums(ctx context.Context, sub *subject) error {
	w, ok := st.target(sub)
	if !ok || w.care != widest(st.sites[sub.Site].Size) {
		return nil
	}
	now := [2]uint64{sub.A, sub.B}[index(w.second)]
	missing := w.value - now
	for _, p := range words(sub.deps[index(w.second)]) {
		b := p.bytes(st.in)
		if b == nil {
			continue
		}
		x := load(b)
		swap := cover.Transform{Action: cover.Swap, Value: uint64(p.size)}
		for _, v := range [...]uint64{
			x + missing, x - missing, swap.Apply(swap.Apply(x) + missing), swap.Apply(swap.Apply(x) - missing),
			wrapped(x, missing, p.size), wrapped(x, -missing, p.size),
		} {
			if err := st.try(ctx, st.in, sub.goal, []edit{integer(p, v&widest(p.size))}); err != nil || !st.engine.Open(sub.Site, sub.taken) {
				return err
			}
		}
	}
	return nil
}

// wrapped adds to a word in ones' complement.
func wrapped(x, by uint64, size int) uint64 {
	modulus := widest(size)
	if size == 8 {
		return x + by
	}
	if int64(by) < 0 {
		return (x + modulus - -by%modulus) % modulus
	}
	return (x + by%modulus) % modulus
}

// words returns the first words of 2 bytes, at even offsets from the first, that lie
// among the places; a byte where there is none.
func words(deps []place) []place {
	var list []place
	for i, p := range deps {
		if len(list) == maxWords {
			break
		}
		if i+1 < len(deps) && adjacent(p, deps[i+1]) && (p.at-deps[0].at)%2 == 0 {
			list = append(list, place{p.part, p.index, p.at, 2})
		}
	}
	if len(list) == 0 {
		list = append(list, deps[0])
	}
	return list
}

func adjacent(p, q place) bool { return p.part == q.part && p.index == q.index && q.at == p.at+1 }

// equation says what flipping some bits of the input does to an operand.
type equation struct {
	effect uint64
	bits   [maxBits / 64]uint64
}

func (e *equation) add(other *equation) {
	e.effect ^= other.effect
	for i := range e.bits {
		e.bits[i] ^= other.bits[i]
	}
}

// fromBits takes an operand for a sum modulo 2 of bits, as every CRC is: it sees what
// each bit does and solves the system.
func (st *study) fromBits(ctx context.Context, sub *subject) error {
	w, ok := st.target(sub)
	if !ok {
		return nil
	}
	deps := sub.deps[index(w.second)]
	var rows []equation
	var bits []edit
	for _, p := range deps {
		for bit := range 8 {
			if len(bits) == maxBits {
				break
			}
			e, effect, ok, err := st.bit(ctx, sub, p, bit, w)
			if err != nil {
				return err
			}
			if ok && effect != 0 {
				row := equation{effect: effect}
				row.bits[len(bits)/64] |= 1 << (len(bits) % 64)
				rows, bits = append(rows, row), append(bits, e)
			}
		}
	}
	now := [2]uint64{sub.A, sub.B}[index(w.second)]
	chosen, ok := eliminate(rows, (w.value^now)&w.care)
	if !ok {
		return nil
	}
	return st.try(ctx, st.in, sub.goal, st.flipped(bits, chosen))
}

// bit flips one bit and returns the change of the operand.
func (st *study) bit(ctx context.Context, sub *subject, p place, bit int, w want) (e edit, effect uint64, ok bool, err error) {
	b := p.bytes(st.in)
	if b == nil {
		return e, 0, false, nil
	}
	e = edit{place: p, data: []byte{b[0] ^ 1<<bit}}
	in := apply(st.shape, st.in, e)
	if in == nil {
		return e, 0, false, nil
	}
	compared, _, err := st.compare(ctx, in)
	if err != nil {
		return e, 0, false, err
	}
	got, ok := find(compared, sub.which)
	if w.second {
		return e, (got.B ^ sub.B) & w.care, ok, nil
	}
	return e, (got.A ^ sub.A) & w.care, ok, nil
}

// find returns an evaluation of a run.
func find(compared []cover.Compared, which evaluation) (cover.Compared, bool) {
	nth := 0
	for _, c := range compared {
		if c.Site != which.site || c.Step != which.step {
			continue
		}
		if nth == which.nth {
			return c, true
		}
		nth++
	}
	return cover.Compared{}, false
}

// flipped returns the edits that flip the chosen bits, one for each byte.
func (st *study) flipped(bits []edit, chosen [maxBits / 64]uint64) []edit {
	var list []edit
	for i, e := range bits {
		if chosen[i/64]>>(i%64)&1 == 0 {
			continue
		}
		if n := len(list); n > 0 && list[n-1].place == e.place {
			list[n-1].data[0] ^= e.data[0] ^ e.place.bytes(st.in)[0]
			continue
		}
		e.data = slices.Clone(e.data)
		list = append(list, e)
	}
	return list
}

// eliminate finds rows whose effects together are the wanted one.
func eliminate(rows []equation, effect uint64) (chosen [maxBits / 64]uint64, ok bool) {
	want := equation{effect: effect}
	for bit := range 64 {
		pivot := slices.IndexFunc(rows, func(e equation) bool { return e.effect>>bit&1 != 0 })
		if pivot < 0 {
			if want.effect>>bit&1 != 0 {
				return chosen, false
			}
			continue
		}
		p := rows[pivot]
		rows = slices.Delete(rows, pivot, pivot+1)
		for i := range rows {
			if rows[i].effect>>bit&1 != 0 {
				rows[i].add(&p)
			}
		}
		if want.effect>>bit&1 != 0 {
			want.add(&p)
		}
	}
	return want.bits, want.effect == 0
}
