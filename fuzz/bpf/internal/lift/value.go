package lift

import (
	"math/bits"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// kind says what a value is.
type kind uint8

const (
	nothing kind = iota // no path has come here
	unknown
	number
	pointer
)

// region is what a pointer points into.
type region uint8

const (
	packetData region = iota
	packetEnd
	packetMeta
	contextData
	stackFrame
	mapItself
	mapValue
	mapFound // the value of an entry, or null
)

// value is the content of a register or of bytes on the stack. Values are shared and
// never change.
type value struct {
	kind kind
	// region, name and offset are those of a pointer; known says that the offset is a
	// constant.
	region region
	name   string
	offset int64
	known  bool
	// number is what a number is made of.
	number cover.Operand
}

// Values without content of their own.
var (
	bottom = &value{}
	top    = &value{kind: unknown}
)

// maxTransforms bounds what is remembered of a computation.
const maxTransforms = 24

func constant(v uint64) *value {
	return &value{kind: number, number: cover.Operand{Source: cover.Fixed, Value: v, Size: 8}}
}

func loaded(source cover.Source, name string, offset int64, known bool, size int) *value {
	at := -1
	if known && offset >= 0 && offset == int64(int32(offset)) {
		at = int(offset)
	}
	return &value{kind: number, number: cover.Operand{Source: source, Name: name, Offset: at, Size: size}}
}

func address(r region, name string, offset int64, known bool) *value {
	return &value{kind: pointer, region: r, name: name, offset: offset, known: known}
}

func (v *value) fixed() (uint64, bool) {
	return v.number.Value, v.kind == number && v.number.Source == cover.Fixed
}

// plain reports whether v is a number as it was loaded.
func (v *value) plain() bool {
	return v.kind == number && v.number.Source != cover.Fixed && len(v.number.Transforms) == 0
}

// points reports whether v is an address in r, maybe.
func (v *value) points(r region) bool { return v.kind == pointer && v.region == r }

func (v *value) same(w *value) bool {
	if v == w {
		return true
	}
	if v.kind != w.kind || v.region != w.region || v.name != w.name || v.offset != w.offset || v.known != w.known {
		return false
	}
	return v.kind != number || sameNumber(&v.number, &w.number)
}

func sameNumber(a, b *cover.Operand) bool {
	return a.Source == b.Source && a.Name == b.Name && a.Offset == b.Offset && a.Size == b.Size &&
		a.Value == b.Value && slices.Equal(a.Transforms, b.Transforms)
}

// join returns what is known of a value that is one of two.
func join(v, w *value) *value {
	switch {
	case v == w || w.kind == nothing || v.same(w):
		return v
	case v.kind == nothing:
		return w
	case v.kind == pointer && w.kind == pointer && v.region == w.region && v.name == w.name:
		return address(v.region, v.name, 0, false)
	case v.kind == number && w.kind == number:
		a, b := v.number, w.number
		if a.Source == cover.Fixed {
			return top
		}
		a.Offset, b.Offset = -1, -1
		if sameNumber(&a, &b) {
			return &value{kind: number, number: a}
		}
	}
	return top
}

// with returns a number after one more transform; constants are computed.
func (v *value) with(action cover.Action, by uint64) *value {
	t := cover.Transform{Action: action, Value: by}
	if v.kind != number {
		return top
	}
	if c, ok := v.fixed(); ok {
		return constant(t.Apply(c))
	}
	if idle(t, v.width()) {
		return v
	}
	n := v.number
	if last := len(n.Transforms) - 1; last >= 0 && action == cover.Add && n.Transforms[last].Action == cover.Add {
		n.Transforms = slices.Clone(n.Transforms)
		n.Transforms[last].Value += by
		return &value{kind: number, number: n}
	}
	if len(n.Transforms) == maxTransforms {
		return top
	}
	n.Transforms = append(slices.Clone(n.Transforms), t)
	return &value{kind: number, number: n}
}

// idle reports whether a transform does nothing to a number of so many bits.
func idle(t cover.Transform, width int) bool {
	switch t.Action {
	case cover.Cut:
		return width <= 8*int(t.Value)
	case cover.And:
		return t.Value&widest(width) == widest(width)
	case cover.Or, cover.Xor, cover.Add, cover.Lsh, cover.Rsh, cover.Arsh:
		return t.Value == 0
	case cover.Mul:
		return t.Value == 1
	case cover.Sext:
		return width < 8*int(t.Value)
	}
	return false
}

func widest(width int) uint64 { return ^uint64(0) >> (64 - width) }

// width returns how many lower bits of a number may be set.
func (v *value) width() int {
	if c, ok := v.fixed(); ok {
		return bits.Len64(c)
	}
	width := min(8*v.number.Size, 64)
	for _, t := range v.number.Transforms {
		width = after(t, width)
	}
	return width
}

func after(t cover.Transform, width int) int {
	switch t.Action {
	case cover.And:
		return min(width, bits.Len64(t.Value))
	case cover.Or, cover.Xor:
		return max(width, bits.Len64(t.Value))
	case cover.Lsh:
		return min(width+int(min(t.Value, 64)), 64)
	case cover.Rsh:
		return max(width-int(min(t.Value, 64)), 0)
	case cover.Mul:
		return min(width+bits.Len64(t.Value), 64)
	case cover.Swap:
		return 8 * int(t.Value)
	case cover.Cut:
		return min(width, 8*int(t.Value))
	case cover.Sext:
		if width < 8*int(t.Value) {
			return width
		}
	case cover.Add:
		if t.Value < 1<<62 {
			return min(max(width, bits.Len64(t.Value))+1, 64)
		}
	}
	return 64
}
