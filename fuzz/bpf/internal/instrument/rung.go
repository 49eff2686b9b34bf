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

// StateFreq is the kernel's BPF_F_TEST_STATE_FREQ, a flag of BPF_PROG_LOAD since
// Linux 5.4. By default the verifier decides by counting instructions and jumps
// where it remembers a state to compare others with, so that a single inserted
// instruction can move those places and blow up the exploration of a loop: a program
// that took 37,604 instructions plain hit the limit of a million with any one of some
// probes. With the flag it remembers a state at every place where it may, which
// inserted code does not change; the same program then takes 34,991 with all its
// probes. The cost of verification did not rise in any program that was measured.
const StateFreq = 1 << 3

// Step is one attempt at getting a program accepted.
type Step struct {
	Rung Rung
	// Flags are added to those with which the program is loaded.
	Flags uint32
}

func (s Step) String() string {
	if s.Flags&StateFreq == 0 && s.Rung != None {
		return s.Rung.String() + ", verified without extra states"
	}
	return s.Rung.String()
}

// Ladder returns the steps to be tried, in order; the first that the kernel accepts
// is the one to use. The last is the program as it is.
func Ladder() []Step {
	var steps []Step
	for rung := Full; rung < None; rung++ {
		steps = append(steps, Step{Rung: rung, Flags: StateFreq}, Step{Rung: rung})
	}
	return append(steps, Step{Rung: None})
}

// Variant is what an instrumented program records.
type Variant uint8

const (
	// Cover records which edges a run had: the variant for the hot loop.
	Cover Variant = iota
	// Trace records for each edge when it was last passed, without pruning and
	// without loop counts: the variant that explains a finding.
	Trace
	// Compare records what was compared, and nothing of edges: the variant from whose
	// log the wanted operands are found.
	Compare
	// Poison records nothing but uses of maps, and fills memory that the program has not
	// written: the variant that shows what depends on it.
	Poison
	// Count records how often each edge was passed, and nothing else: the variant from
	// which it follows how many instructions a run executed.
	Count
)

func (v Variant) String() string {
	switch v {
	case Cover:
		return "cover"
	case Trace:
		return "trace"
	case Compare:
		return "compare"
	case Poison:
		return "poison"
	case Count:
		return "count"
	}
	return fmt.Sprintf("Variant(%d)", uint8(v))
}
