package instrument

// Layout says how the value of the coverage map is used: an array with a single
// entry of Size bytes, which userspace maps into memory and clears before a run.
// All integers are in the machine's byte order. Offsets are in bytes.
//
// In the Cover variant the value begins with the feature vector that cover.Table
// describes: Probes hit bytes, one byte per loop that stays for userspace to set
// from the counters, padding to 8. Then follow the loop counters and the map sites.
// In the Trace variant it begins with the sequence counter, the cells of the edges,
// and then the map sites. In the Count variant it begins with the cells.
type Layout struct {
	// Size is at least 8 and a multiple of 8.
	Size int
	// Probes hit bytes are at offset 0.
	Probes int
	// Loops bucket bytes are at offset Probes; the program does not touch them.
	Loops int
	// Counters is the offset of one u32 per loop, in the order of cover.Table.Loops.
	Counters int
	// Sequence is the offset of a u32 that counts passages (Trace only).
	Sequence int
	// Cells is the offset of one u32 per entry of CellEdges (Trace and Count only): the value of
	// the sequence counter, from 1, when the edge was last passed; 0 when it was not.
	// In the Count variant it is how often the edge was passed.
	Cells int
	// CellEdges holds the index in the Table of the edge of each cell.
	CellEdges []int
	// Compared is the offset, and ComparedSize the size, of the cells of Operands
	// (Compare only).
	Compared, ComparedSize int
	// Operands lists the comparisons that are logged.
	Operands []Operands
	// Scores lists the comparisons that are scored (Cover only, in batches).
	Scores []Score
	// Checks lists the claims that are checked (Cover only), and Violated is the offset of
	// a u32 that is 1 when one of them did not hold.
	Checks   []Check
	Violated int
	// Lookups lists the calls whose keys are logged (Compare only).
	Lookups []Lookup
	// Poison is the offset of the patterns that SetPoison sets (Poison only).
	Poison int
	// Sites lists the places where maps are used. Those that mark the same thing
	// share a cell and are listed once.
	Sites []Site
}

// Operands is the log of a comparison.
type Operands struct {
	// Site is the index in cover.Table.Comparisons.
	Site int
	// Off is the offset of a u32 that counts evaluations. Where Depth is 1 it is 0 or
	// 1. At Off+8 begin Depth pairs of u64, the operands of evaluation n (from 0) at
	// n%Depth; the second is not stored where it is a constant.
	Off, Depth int
	// Address says that the operands may be addresses.
	Address bool
}

const (
	// operandsHeader is the size of a count with its padding, pairSize that of two operands.
	operandsHeader = 8
	pairSize       = 16
	// depth is how many evaluations are remembered of a comparison in a loop.
	depth = 8
	// maxOperands bounds the comparisons that are logged: 2 MiB at most.
	maxOperands = 1 << 14
)

// PairAt returns the offset of the operands of the i-th evaluation.
func (o *Operands) PairAt(i int) int { return o.Off + operandsHeader + i%o.Depth*pairSize }

func (o *Operands) size() int { return operandsHeader + o.Depth*pairSize }

// SiteKind says what is known of a use of a map.
type SiteKind uint8

const (
	// Whole marks the whole map.
	Whole SiteKind = iota
	// Keys logs keys.
	Keys
	// Range marks bytes [Lo, Hi) of the map's only value: global data.
	Range
)

func (k SiteKind) String() string {
	switch k {
	case Whole:
		return "whole"
	case Keys:
		return "keys"
	case Range:
		return "range"
	}
	return "unknown"
}

const (
	// Ring is the number of keys that a site of kind Keys remembers, and a call whose
	// keys are logged, outside of batches.
	Ring = 8
	// maxRing bounds the keys that a site remembers in batches, and maxRings the
	// bytes that all of them take.
	maxRing  = 1 << 10
	maxRings = 1 << 20
	// siteHeader is the size of a site's count with its padding.
	siteHeader = 8
)

// Site is a place where a program may change a map's state.
type Site struct {
	// Map is the name of the map, "" when it may be any.
	Map  string
	Kind SiteKind
	// ReadOnly is true for lookups and addresses through which nothing is written:
	// no code is inserted for them, and there is nothing to restore.
	ReadOnly bool
	// Off is the offset of the site's u32 count, -1 when the site has no code:
	// because it is ReadOnly, or because the rung leaves sites out, in which case the
	// map must be taken for touched in every run.
	//
	// For Keys the count is how often the site was passed, and Ring keys of Stride
	// bytes each, of which KeySize are used, begin at Off+8; passage n (from 0) left
	// its key at n%Ring. A count above Ring means that keys were lost. For the other
	// kinds the count is 0 or 1.
	Off                   int
	Stride, KeySize, Ring int
	// Finds says that what is called hands out entries and makes none.
	Finds bool
	// Lo and Hi bound the bytes of a Range.
	Lo, Hi uint32
	// Func and Insn are where the first use is: an offset in slots from the start of
	// the function.
	Func string
	Insn int
	// Helper names what is called there; "" for addresses of global data.
	Helper string
}

// KeyAt returns the offset of the i-th key of the ring.
func (s *Site) KeyAt(i int) int { return s.Off + siteHeader + i%s.Ring*s.Stride }

// align rounds up to a multiple of 8.
func align(n int) int { return (n + 7) &^ 7 }
