package cover

import "fmt"

// Tally counts features by kind.
type Tally struct {
	// Edges are the table's, pruned ones included; Loops buckets of loop counts.
	Edges, Loops int
	// Ways are ways that comparisons went, two at most for each, and Near those that
	// they only came near to.
	Ways, Near int
	// Once counts features, nearness left out, that no input had in all its runs.
	Once int
}

// Tally counts what r has.
func (t *Table) Tally(r Ranks) Tally {
	var n Tally
	features := make([]byte, t.Len())
	for bit := range min(len(r), 8*len(features)) {
		if r[bit] == 0 {
			continue
		}
		features[bit/8] |= 1 << (bit % 8)
		if bit/8 >= t.Probes {
			n.Loops++
		}
	}
	n.Edges = t.Count(features)
	for i, rank := range r {
		if rank == Once && !t.IsNearness(i) {
			n.Once++
		}
	}
	for at := 8 * t.Len(); at+perComparison <= len(r); at += perComparison {
		for way := range 2 {
			switch {
			case r[at+way] != 0:
				n.Ways++
			case r[at+2+way] != 0:
				n.Near++
			}
		}
	}
	return n
}

// Work estimates how much a run did, from its feature vector: an edge counts one, a loop
// as often as it went round at least. It is the same on every machine, as time is not.
func (t *Table) Work(features []byte) uint64 {
	work := uint64(0)
	for i, b := range features[:min(len(features), t.Probes+len(t.Loops))] {
		if i < t.Probes {
			work += uint64(b & 1)
		} else {
			work += uint64(b) // the bits are those of powers of two
		}
	}
	return work
}

// FeatureLabel names a feature of profiles for people.
func (t *Table) FeatureLabel(feature int) string {
	vector := 8 * t.Len()
	switch at := feature / 8; {
	case feature < 0 || feature >= t.Features():
		return fmt.Sprintf("feature %d", feature)
	case feature >= vector:
		return t.comparisonLabel(feature - vector)
	case at < t.Probes:
		for i := range t.Edges {
			if t.Edges[i].Probe == at {
				return t.Edges[i].Label()
			}
		}
	case at-t.Probes < len(t.Loops):
		e := &t.Edges[t.Loops[at-t.Probes]]
		return fmt.Sprintf("%s, %d times or more in a row", e.Label(), 1<<(feature%8))
	}
	return fmt.Sprintf("feature %d", feature)
}

func (t *Table) comparisonLabel(at int) string {
	c := &t.Comparisons[at/perComparison]
	where := c.Pos.String()
	if where == "" {
		where = fmt.Sprintf("insn %d", c.At)
	}
	way := "not taken"
	if at%2 == 1 {
		way = "taken"
	}
	if at%perComparison >= 2 {
		way = "near to being " + way
	}
	return fmt.Sprintf("%s: comparison at %s %s", c.Func, where, way)
}
