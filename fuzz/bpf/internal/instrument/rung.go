package instrument

import "fmt"

// Rung is a step of the ladder: how much is inserted into a program. A program
// that the kernel does not accept at one rung is tried at the next, which costs
// less of the verifier's instruction budget.
type Rung uint8

const (
	// Full has a probe for every edge that needs one, loop counters, and logs the
	// keys with which maps are used.
	Full Rung = iota
	// Marks says only that a map was used, not with which keys.
	Marks
	// NoLoops has no loop counters either.
	NoLoops
	// Half, Quarter and Eighth keep one in 2, 4 and 8 probes. Quarter and Eighth
	// have no map sites any more.
	Half
	Quarter
	Eighth
	// None inserts nothing.
	None
	// Rungs is the number of rungs.
	Rungs = int(None) + 1
)

// String names the rung for people.
func (r Rung) String() string {
	switch r {
	case Full:
		return "full"
	case Marks:
		return "map marks without keys"
	case NoLoops:
		return "edges without loop counters"
	case Half, Quarter, Eighth:
		return fmt.Sprintf("edges sampled 1/%d", r.sample())
	case None:
		return "not instrumented"
	}
	return fmt.Sprintf("Rung(%d)", uint8(r))
}

// sample returns of how many probes one is kept.
func (r Rung) sample() int {
	switch r {
	case Half:
		return 2
	case Quarter:
		return 4
	case Eighth:
		return 8
	}
	return 1
}

func (r Rung) keys() bool  { return r == Full }
func (r Rung) loops() bool { return r <= Marks }
func (r Rung) sites() bool { return r <= Half }

// Variant is what an instrumented program records.
type Variant uint8

const (
	// Cover records which edges a run had: the variant for the hot loop.
	Cover Variant = iota
	// Trace records for each edge when it was last passed, without pruning and
	// without loop counts: the variant that explains a finding.
	Trace
)

func (v Variant) String() string {
	switch v {
	case Cover:
		return "cover"
	case Trace:
		return "trace"
	}
	return fmt.Sprintf("Variant(%d)", uint8(v))
}
