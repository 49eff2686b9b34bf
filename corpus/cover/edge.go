// Package cover describes what one run of a program covered, what all runs
// covered, and whether a run adds anything. It knows edges and loops as data and
// nothing of the machine that ran them.
package cover

import (
	"fmt"
	"path"
)

// Pos is a place in the program's source. The zero value means that the object
// has no line information there.
type Pos struct {
	File         string
	Line, Column int
	// Text is the line without space around it, "" where the object does not have it;
	// Nth is how many lines of the same text the function has before it. They still name
	// the line when others come or go.
	Text string
	Nth  int
}

// String returns "file.c:line", or "" where the object names no line: for the zero value,
// and for line 0 without a column, with which compilers mark code that stands for no line of
// a file.
func (p Pos) String() string {
	if p.File == "" || p.Line < 0 || p.Line == 0 && p.Column == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", path.Base(p.File), p.Line)
}

// Kind says how control reaches an edge's destination.
type Kind uint8

const (
	// Entry is the entry of a function; it has no source block.
	Entry Kind = iota
	// FallThrough is the edge of a two-way branch that is not taken.
	FallThrough
	// Taken is the edge of a two-way branch that jumps.
	Taken
)

func (k Kind) String() string {
	switch k {
	case Entry:
		return "entry"
	case FallThrough:
		return "fall-through"
	case Taken:
		return "taken"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Edge is a pair of basic blocks. It follows from the object alone, so its
// index in a Table and its ID are the same on every machine.
type Edge struct {
	// ID is a hash of function, instruction offsets and kind.
	ID   uint64
	Func string
	Kind Kind
	// From and To are the offsets, in 8-byte instruction slots from the start of
	// Func, of the branch and of its destination. From is -1 for Entry.
	From, To int
	// FromPos and ToPos are zero where the object has no line information.
	FromPos, ToPos Pos
	// Probe is the index of the edge's hit byte in the feature vector, -1 when the
	// edge has none: it is then either the union of Via or Skipped.
	Probe int
	// Via lists indices of edges in the Table, one of which is hit exactly when
	// this edge is.
	Via []int
	// Program is set on the entry of a program, as against that of a function it calls.
	Program bool
	// Updates is set where a map is changed on the way from here to the next branch.
	Updates bool
	// Skipped says why the edge cannot be observed; "" when it can.
	Skipped string
}

// Label names the edge for people: "xdp_fw: fw.c:31 -> fw.c:40 (taken)".
func (e *Edge) Label() string {
	from, to := e.FromPos.String(), e.ToPos.String()
	if from == "" {
		from = fmt.Sprintf("insn %d", e.From)
	}
	if to == "" {
		to = fmt.Sprintf("insn %d", e.To)
	}
	if e.Kind == Entry {
		return fmt.Sprintf("%s: %s (entry)", e.Func, to)
	}
	return fmt.Sprintf("%s: %s -> %s (%s)", e.Func, from, to, e.Kind)
}

// Table holds the edges of one target. It is immutable once made, so any number
// of goroutines may read it.
//
// The feature vector of a run is one byte per probe, 0 or 1, followed by one
// byte per loop with the bit of Bucket set, padded with zeros to a multiple of 8.
type Table struct {
	Edges []Edge
	// Loops lists, as indices into Edges, the back edges whose traversals are counted.
	Loops []int
	// Probes is the number of hit bytes.
	Probes int
	// Comparisons lists the branches on two integers, in the order of the code. It is
	// empty where none can be observed.
	Comparisons []Comparison
	// Entries lists the branches on whether a map has an entry: A is a MapEntry, which is
	// compared with 0. Nothing is Compared at them; the Lookups of a run say what was
	// asked for.
	Entries []Comparison
}

// Len returns the length of the feature vector in bytes, a multiple of 8.
func (t *Table) Len() int { return (t.Probes + len(t.Loops) + 7) &^ 7 }

// Observable returns how many edges are not Skipped.
func (t *Table) Observable() int {
	n := 0
	for i := range t.Edges {
		if t.Edges[i].Skipped == "" {
			n++
		}
	}
	return n
}

// Expand reports for every edge whether features has it, pruned edges included.
// dst is reused when it is large enough.
func (t *Table) Expand(dst []bool, features []byte) []bool {
	dst = append(dst[:0], make([]bool, len(t.Edges))...)
	known := make([]bool, len(t.Edges))
	var hit func(i int) bool
	hit = func(i int) bool {
		if known[i] {
			return dst[i]
		}
		known[i] = true
		e := &t.Edges[i]
		if e.Probe >= 0 {
			dst[i] = e.Probe < len(features) && features[e.Probe] != 0
			return dst[i]
		}
		for _, via := range e.Via {
			if hit(via) {
				dst[i] = true
			}
		}
		return dst[i]
	}
	for i := range t.Edges {
		hit(i)
	}
	return dst
}

// Count returns the number of edges that features covers, pruned edges included.
func (t *Table) Count(features []byte) int {
	n := 0
	for _, hit := range t.Expand(nil, features) {
		if hit {
			n++
		}
	}
	return n
}

// Bucket returns the bit that stands for a loop count: one bit per power of two,
// 1, 2-3, 4-7, 8-15, 16-31, 32-63, 64-127, 128 and more. A count of zero has no bit.
func Bucket(count uint32) byte {
	if count == 0 {
		return 0
	}
	return 1 << min(bits(count)-1, 7)
}
