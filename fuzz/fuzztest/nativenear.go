package fuzztest

import (
	"math/bits"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// near tells Go's engine how near inputs come to comparisons that always went one way:
// it keeps whatever reaches another level, and gets to constants bit by bit. The
// levels of others would only fill its corpus, all of which it mutates in turn.
type near struct {
	table *cover.Table
	// open are the comparisons, by index, of which one way was never gone. What a
	// process has seen grows, so a level may be missing when an input runs again, but
	// only once its comparison is solved.
	open    []bool
	nearest []int // the distance of each in the last run, -1 where it was not evaluated
	passed  []bool
}

func newNear(table *cover.Table) *near {
	n := &near{table: table, open: make([]bool, len(table.Comparisons)), nearest: make([]int, len(table.Comparisons))}
	n.update(make([]byte, table.Len()))
	return n
}

// update takes the union of all features that were seen.
func (n *near) update(seen []byte) {
	n.passed = n.table.Expand(n.passed, seen)
	for i := range n.table.Comparisons {
		c := &n.table.Comparisons[i]
		n.open[i] = n.missing(c.Taken) || n.missing(c.Fall)
	}
}

func (n *near) missing(edge int) bool { return edge >= 0 && !n.passed[edge] }

// appendLevels appends a feature for each comparison.
func (n *near) appendLevels(features []byte, compared []cover.Compared) []byte {
	for i := range n.nearest {
		n.nearest[i] = -1
	}
	for _, got := range compared {
		if !n.open[got.Site] {
			continue
		}
		d := distance(&n.table.Comparisons[got.Site], got)
		if best := n.nearest[got.Site]; best < 0 || d < best {
			n.nearest[got.Site] = d
		}
	}
	for i, d := range n.nearest {
		var feature byte
		if d >= 0 && 2*d <= width(&n.table.Comparisons[i]) {
			feature = level(d)
		}
		features = append(features, feature)
	}
	return features
}

// distance is how many bits keep a comparison from going the other way: those in which
// operands differ that are compared for equality, those that they have in common where
// that is asked, else those that their difference takes.
func distance(c *cover.Comparison, got cover.Compared) int {
	switch c.Relation {
	case cover.Equal, cover.NotEqual:
		return bits.OnesCount64(got.A ^ got.B)
	case cover.AnyBit, cover.NoBit:
		return bits.OnesCount64(got.A & got.B)
	}
	a, b := got.A, got.B
	if c.Signed && c.Size == 4 {
		a, b = uint64(int64(int32(a))), uint64(int64(int32(b)))
	}
	if c.Signed {
		return bits.Len64(uint64(max(int64(a), int64(b)) - min(int64(a), int64(b))))
	}
	return bits.Len64(max(a, b) - min(a, b))
}

// width is how many bits of the operands can differ: those that were loaded, where that
// is known.
func width(c *cover.Comparison) int {
	size := max(c.A.Size, c.B.Size)
	if size == 0 {
		size = c.Size
	}
	return 8 * size
}

// level makes a feature of a distance; 0 for one that is too far to count. Small ones
// have a level each.
func level(distance int) byte {
	for i, most := range [...]int{1, 2, 3, 4, 6, 8, 12, 16} {
		if distance <= most {
			return 1 << i
		}
	}
	return 0
}
