package cover

import (
	"fmt"
	mathbits "math/bits"
)

// Relation is what has to hold between the operands of a comparison for its branch
// to be taken. Except for Equal, NotEqual and AnyBit it is of unsigned integers
// unless the comparison is Signed.
type Relation uint8

// The relations that BPF's conditional jumps have.
const (
	Equal Relation = iota
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	// AnyBit holds when A & B is not zero.
	AnyBit
	// NoBit is its negation, which no instruction has.
	NoBit
)

var relations = [...]string{"==", "!=", "<", "<=", ">", ">=", "&", "!&"}

func (r Relation) String() string {
	if int(r) < len(relations) {
		return relations[r]
	}
	return fmt.Sprintf("Relation(%d)", uint8(r))
}

// Negated returns what holds when r does not.
func (r Relation) Negated() Relation {
	return [...]Relation{NotEqual, Equal, GreaterEqual, Greater, LessEqual, Less, NoBit, AnyBit}[r]
}

// Comparison is a branch on two operands. Like an Edge it follows from the object
// alone.
type Comparison struct {
	Func string
	// At is the offset of the branch in 8-byte instruction slots from the start of Func.
	At  int
	Pos Pos
	// Relation takes the branch.
	Relation Relation
	// Size is how many bytes of the operands are compared: 4 or 8.
	Size   int
	Signed bool
	// Constant says that B is an immediate operand.
	Constant bool
	// Length says that the packet's end or length is compared with a place in the
	// packet: of such a comparison A is the length up to that place and B that of the
	// packet, or the other way round where Swapped is set. Both may be short by the same
	// number of bytes, so what counts is their difference.
	Length, Swapped bool
	// Taken and Fall are the edges behind it, as indices into Table.Edges; -1 where
	// the table has no such edge.
	Taken, Fall int
	// A and B are where the operands come from.
	A, B Operand
}

// Holds reports whether operands take the branch.
func (c *Comparison) Holds(a, b uint64) bool { return c.holds(c.Relation, a, b) }

func (c *Comparison) holds(r Relation, a, b uint64) bool {
	if c.Size == 4 {
		a, b = uint64(uint32(a)), uint64(uint32(b))
	}
	less := a < b
	if c.Signed && c.Size == 4 {
		less = int32(a) < int32(b)
	} else if c.Signed {
		less = int64(a) < int64(b)
	}
	switch r {
	case Equal:
		return a == b
	case NotEqual:
		return a != b
	case Less:
		return less
	case LessEqual:
		return less || a == b
	case Greater:
		return !less && a != b
	case GreaterEqual:
		return !less
	case AnyBit:
		return a&b != 0
	}
	return a&b == 0
}

// Compared is an evaluation of a comparison: the operands as they were, the upper
// half cleared where four bytes are compared.
type Compared struct {
	// Site is the index in Table.Comparisons.
	Site int
	// Step is the step of the input that evaluated it.
	Step int
	A, B uint64
}

// Distance says how far operands are from making a comparison go one way: 0 when they
// do. For integers that have to be equal it is the difference, for bits their number.
func (c *Comparison) Distance(got Compared, taken bool) uint64 {
	if c.Holds(got.A, got.B) == taken {
		return 0
	}
	a, b := got.A, got.B
	if c.Signed && c.Size == 4 {
		a, b = uint64(int64(int32(a))), uint64(int64(int32(b)))
	}
	difference := max(a, b) - min(a, b)
	if c.Signed {
		difference = uint64(max(int64(a), int64(b)) - min(int64(a), int64(b)))
	}
	if c.Relation == AnyBit || c.Relation == NoBit {
		difference = uint64(mathbits.OnesCount64(a & b))
	}
	return max(difference, 1)
}

// Lookup is an evaluation of a call that looks a key up in a map.
type Lookup struct {
	// Map is the map's name.
	Map string
	Key []byte
	// Found says that there was an entry.
	Found bool
}

// Source is where an operand's bytes come from.
type Source uint8

const (
	// Elsewhere is anything that is not known to be one of the others.
	Elsewhere Source = iota
	// Fixed is a constant; Operand.Value has it.
	Fixed
	// PacketBytes are loaded from the packet, with data at offset 0.
	PacketBytes
	// ContextField is loaded from the context structure.
	ContextField
	// MetaBytes are loaded from metadata in front of the packet.
	MetaBytes
	// MapValueBytes are loaded from the value of the map named Operand.Name.
	MapValueBytes
	// HelperResult is what the helper named Operand.Name returned.
	HelperResult
	// PacketLength is the length of the packet as the program sees it.
	PacketLength
	// MapEntry is the address of an entry of the map named Operand.Name, 0 where
	// there is none.
	MapEntry
)

// Operand is a compared value as a function of what was loaded: Transforms applied
// one after the other to Size bytes at Offset, in the machine's byte order and zero
// extended. The zero value says that nothing is known.
type Operand struct {
	Source Source
	// Name is that of a map, a context field or a helper.
	Name string
	// Offset is in bytes; -1 where it depends on the input.
	Offset int
	// Size is how many bytes were loaded: 1, 2, 4 or 8.
	Size int
	// Value is that of a Fixed operand.
	Value      uint64
	Transforms []Transform
}

// Action is what a Transform does.
type Action uint8

// Actions of a Transform. X is the value, V its Value, both of 64 bits.
const (
	And  Action = iota // X & V
	Or                 // X | V
	Xor                // X ^ V
	Add                // X + V
	Mul                // X * V
	Lsh                // X << V
	Rsh                // X >> V, zeros shifted in
	Arsh               // X >> V, the sign shifted in
	// Swap reverses the lower V bytes, 2, 4 or 8, and clears the others.
	Swap
	// Sext takes the lower V bytes and extends their sign.
	Sext
	// Neg is -X.
	Neg
	// Cut keeps the lower V bytes.
	Cut
)

// Transform is a step of a computation with one constant.
type Transform struct {
	Action Action
	Value  uint64
}
