package verifier

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds is what the verifier claims of the value of a register: that it lies in each
// of four ranges, whose ends are included, and that the bits outside of Mask are those
// of Value. The zero value claims that the value is 0; Anything claims nothing.
type Bounds struct {
	Umin, Umax     uint64
	Smin, Smax     int64
	Umin32, Umax32 uint32
	Smin32, Smax32 int32
	Value, Mask    uint64
}

// anything holds for every value.
var anything = Bounds{
	Umax: math.MaxUint64, Smin: math.MinInt64, Smax: math.MaxInt64,
	Umax32: math.MaxUint32, Smin32: math.MinInt32, Smax32: math.MaxInt32,
	Mask: math.MaxUint64,
}

// Anything returns the bounds of a value of which nothing is known.
func Anything() Bounds { return anything }

// Exactly returns the bounds of a constant.
func Exactly(v uint64) Bounds {
	return Bounds{
		Umin: v, Umax: v, Smin: int64(v), Smax: int64(v), Umin32: uint32(v), Umax32: uint32(v),
		Smin32: int32(v), Smax32: int32(v), Value: v,
	}
}

// Sized returns the bounds of a number of so many bytes, 1 to 8.
func Sized(size int) Bounds {
	if size >= 8 {
		return anything
	}
	top := uint64(1)<<(8*size) - 1
	b := Bounds{Umax: top, Smax: int64(top), Umax32: uint32(top), Smax32: int32(min(top, math.MaxInt32)), Mask: top}
	if size == 4 {
		b.Smin32 = math.MinInt32
	}
	return b
}

// Join returns what holds wherever one of two bounds does.
func (b Bounds) Join(o Bounds) Bounds {
	mask := b.Mask | o.Mask | (b.Value ^ o.Value)
	return Bounds{
		Umin: min(b.Umin, o.Umin), Umax: max(b.Umax, o.Umax), Smin: min(b.Smin, o.Smin), Smax: max(b.Smax, o.Smax),
		Umin32: min(b.Umin32, o.Umin32), Umax32: max(b.Umax32, o.Umax32), Smin32: min(b.Smin32, o.Smin32), Smax32: max(b.Smax32, o.Smax32),
		Value: b.Value &^ mask, Mask: mask,
	}
}

// Within reports whether every value of b is one of o.
func (b Bounds) Within(o Bounds) bool { return o.Join(b) == o }

// Holds reports whether v is what is claimed.
func (b Bounds) Holds(v uint64) bool {
	w := uint32(v)
	return v >= b.Umin && v <= b.Umax && int64(v) >= b.Smin && int64(v) <= b.Smax &&
		w >= b.Umin32 && w <= b.Umax32 && int32(w) >= b.Smin32 && int32(w) <= b.Smax32 && v&^b.Mask == b.Value
}

// String is the claim as recent verifiers write it, with equal ends of ranges apart.
func (b Bounds) String() string {
	if b.Mask == 0 {
		return fmt.Sprintf("%#x", b.Value)
	}
	var words []string
	add := func(said bool, format string, v any) {
		if said {
			words = append(words, fmt.Sprintf(format, v))
		}
	}
	add(b.Umin != 0, "umin=%#x", b.Umin)
	add(b.Umax != math.MaxUint64, "umax=%#x", b.Umax)
	add(b.Smin != math.MinInt64, "smin=%d", b.Smin)
	add(b.Smax != math.MaxInt64, "smax=%d", b.Smax)
	add(b.Umin32 != 0, "umin32=%#x", b.Umin32)
	add(b.Umax32 != math.MaxUint32, "umax32=%#x", b.Umax32)
	add(b.Smin32 != math.MinInt32, "smin32=%d", b.Smin32)
	add(b.Smax32 != math.MaxInt32, "smax32=%d", b.Smax32)
	if b.Mask != math.MaxUint64 {
		words = append(words, fmt.Sprintf("var_off=(%#x; %#x)", b.Value, b.Mask))
	}
	if len(words) == 0 {
		return "anything"
	}
	return strings.Join(words, ",")
}

// parseScalar reads what a log says of a register behind its "=". ok is false where
// the register holds no number. That the number is precise, which a P before it says, is of
// no use here: it is said of few registers, and not of the states that are compared.
func parseScalar(text string) (b Bounds, ok bool, err error) {
	text = strings.TrimPrefix(text, "P")
	if text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') {
		v, err := number(text)
		return Exactly(v), true, err
	}
	inner, ok := strings.CutPrefix(text, "scalar(")
	if !ok {
		return b, false, nil
	}
	if inner, ok = strings.CutSuffix(inner, ")"); !ok {
		return b, false, fmt.Errorf("%q does not end with a parenthesis", text)
	}
	b = anything
	for inner != "" {
		var part string
		part, inner = cutPart(inner)
		if err := b.add(part); err != nil {
			return b, false, err
		}
	}
	return b, true, nil
}

// cutPart returns what comes before the next comma outside of parentheses, and what
// behind it.
func cutPart(s string) (part, rest string) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}

// add reads one part, such as smin=smin32=0, which says the same of several ends.
func (b *Bounds) add(part string) error {
	keys := strings.Split(part, "=")
	text := keys[len(keys)-1]
	if len(keys) < 2 {
		return fmt.Errorf("%q says nothing of a number", part)
	}
	for _, key := range keys[:len(keys)-1] {
		if err := b.set(key, text); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bounds) set(key, text string) error {
	if key == "id" {
		return nil // which registers are known to be equal
	}
	if key == "var_off" {
		return b.setBits(text)
	}
	v, err := number(text)
	if err != nil {
		return err
	}
	switch key {
	case "umin":
		b.Umin = v
	case "umax":
		b.Umax = v
	case "smin":
		b.Smin = int64(v)
	case "smax":
		b.Smax = int64(v)
	case "umin32", "u32_min":
		b.Umin32 = uint32(v)
	case "umax32", "u32_max":
		b.Umax32 = uint32(v)
	case "smin32", "s32_min":
		b.Smin32 = int32(v)
	case "smax32", "s32_max":
		b.Smax32 = int32(v)
	default:
		return fmt.Errorf("%q is no word that is known of numbers", key)
	}
	return nil
}

// setBits reads (value; mask).
func (b *Bounds) setBits(text string) (err error) {
	inner, opened := strings.CutPrefix(text, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	value, mask, both := strings.Cut(inner, "; ")
	if !opened || !closed || !both {
		return fmt.Errorf("known bits %q are not (value; mask)", text)
	}
	if b.Value, err = number(value); err != nil {
		return err
	}
	b.Mask, err = number(mask)
	return err
}

// number reads a number that is written in decimal, signed or not, or in
// hexadecimal.
func number(text string) (uint64, error) {
	if v, err := strconv.ParseInt(text, 0, 64); err == nil {
		return uint64(v), nil
	}
	v, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number: %w", text, err)
	}
	return v, nil
}
