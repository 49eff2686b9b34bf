package lift

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

const (
	lsh = cover.Lsh
	rsh = cover.Rsh
)

func cut(v *value, size int) *value {
	if v.kind != number {
		return top
	}
	if narrowed := narrow(v, size); narrowed != nil {
		return narrowed
	}
	return v.with(cover.Cut, uint64(size))
}

// narrow returns the lower bytes of a number that is as it was loaded.
func narrow(v *value, size int) *value {
	if !v.plain() || !littleEndian || v.number.Size <= size || v.number.Source == cover.PacketLength || v.number.Source == cover.HelperResult {
		return nil
	}
	n := v.number
	n.Size = size
	return &value{kind: number, number: n}
}

// shifted returns a number shifted right by whole bytes.
func shifted(v *value, by int) *value {
	if v.kind != number {
		return top
	}
	if by == 0 {
		return v
	}
	n := v.number
	if v.plain() && littleEndian && by%8 == 0 && by/8 < n.Size && n.Offset >= 0 && memory(n.Source) {
		n.Offset += by / 8
		n.Size -= by / 8
		return &value{kind: number, number: n}
	}
	return v.with(rsh, uint64(by))
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// memory reports whether a source's bytes lie side by side.
func memory(s cover.Source) bool {
	switch s {
	case cover.PacketBytes, cover.MetaBytes, cover.MapValueBytes, cover.ContextField:
		return true
	}
	return false
}

// merge returns v | w for numbers that have no bit in common: compilers load what may
// not be aligned byte by byte and put it together.
func merge(v, w *value) *value {
	if !littleEndian || v.kind != number || w.kind != number {
		return top
	}
	if c, ok := v.fixed(); ok {
		return w.with(cover.Or, c)
	}
	if c, ok := w.fixed(); ok {
		return v.with(cover.Or, c)
	}
	for _, pair := range [...][2]*value{{v, w}, {w, v}} {
		if merged := ascending(&pair[0].number, &pair[1].number); merged != nil {
			return merged
		}
		if merged := descending(&pair[0].number, &pair[1].number); merged != nil {
			return merged
		}
	}
	return top
}

func neighbours(a, b *cover.Operand) bool {
	return memory(a.Source) && a.Source == b.Source && a.Name == b.Name && a.Offset >= 0 && b.Offset == a.Offset+a.Size && a.Size+b.Size <= 8
}

// shift returns by how many bits a number was shifted left, last of all, and what was
// done to it before.
func shift(o *cover.Operand) (by int, before []cover.Transform) {
	if last := len(o.Transforms) - 1; last >= 0 && o.Transforms[last].Action == lsh {
		return int(o.Transforms[last].Value), o.Transforms[:last]
	}
	return 0, o.Transforms
}

// ascending joins low and the bytes behind it, which are the upper ones.
func ascending(low, high *cover.Operand) *value {
	by, before := shift(low)
	highBy, highBefore := shift(high)
	if !neighbours(low, high) || len(before) != 0 || len(highBefore) != 0 || highBy-by != 8*low.Size {
		return nil
	}
	return joined(low, high, nil).with(lsh, uint64(by))
}

// descending joins bytes in network order with those behind them, the lower ones.
func descending(first, second *cover.Operand) *value {
	by, before := shift(second)
	firstBy, firstBefore := shift(first)
	if !neighbours(first, second) || firstBy-by != 8*second.Size || !swapped(firstBefore, first.Size) || !swapped(before, second.Size) {
		return nil
	}
	all := uint64(first.Size + second.Size)
	return joined(first, second, []cover.Transform{{Action: cover.Swap, Value: all}}).with(lsh, uint64(by))
}

// joined is the number in the bytes of a and of b behind it.
func joined(a, b *cover.Operand, transforms []cover.Transform) *value {
	n := *a
	n.Size += b.Size
	n.Transforms = transforms
	return &value{kind: number, number: n}
}

// swapped reports whether transforms do nothing but reverse all bytes.
func swapped(transforms []cover.Transform, size int) bool {
	if len(transforms) == 0 {
		return size == 1
	}
	return len(transforms) == 1 && transforms[0] == cover.Transform{Action: cover.Swap, Value: uint64(size)}
}
