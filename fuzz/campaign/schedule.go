package campaign

import (
	"math"
	"time"
)

// Outcome is what a turn gave.
type Outcome struct {
	// Took is how long it took, loading the program included.
	Took time.Duration
	// Execs counts executions.
	Execs uint64
	// Edges, Entries and Findings count what is new.
	Edges, Entries, Findings int
	// Rebuilt says that the program is another one than in the turn before: what was known of
	// its gains no longer counts.
	Rebuilt bool
}

// What gains are worth, in edges: an entry that passes no new edge goes on from where it
// is, which is a step to one; a finding says that more of its kind are near.
const (
	entryWorth   = 0.25
	findingWorth = 4
)

func (o *Outcome) worth() float64 {
	return float64(o.Edges) + entryWorth*float64(o.Entries) + findingWorth*float64(o.Findings)
}

// Share is how a target stands in a schedule.
type Share struct {
	// Turns it had, and Used time in them.
	Turns int
	Used  time.Duration
	// Estimate is what a second is expected to gain.
	Estimate float64
	// Credit is the time, in seconds, that the target had less than its share; negative
	// where it had more.
	Credit float64
}

// Schedule shares time among targets by what they gain: each is owed a part of every
// second that is used, a floor for all alike and the rest by their estimates, and the one
// that is owed most is next. It is deterministic, and not safe for concurrent use.
type Schedule struct {
	// Shares has one for each target; weights what its gains are worth.
	Shares  []Share
	weights []float64
	out     []bool // of the schedule, since it cannot run at the moment
	busy    []bool
	turn    time.Duration
}

const (
	// floor is the part of the time that is shared by weight alone: an estimate of
	// nothing may be wrong, and a build that comes later changes it.
	floor = 0.2
	// memory is after how many turns an old estimate counts a third: what is still to be
	// found becomes less with what was found, so that old estimates are too high.
	memory = 1
	// most turns that a target is owed, or owes: what it was owed by an estimate that turned
	// out too high is soon forgotten.
	most = 4
)

// NewSchedule shares time among targets of these weights, in turns of about that length.
func NewSchedule(weights []float64, turn time.Duration) *Schedule {
	n := len(weights)
	return &Schedule{Shares: make([]Share, n), weights: weights, out: make([]bool, n), busy: make([]bool, n), turn: turn}
}

// Next returns the target whose turn is next, -1 where all are at work or out. One that
// had no turn yet is before all others, in their order.
func (s *Schedule) Next() int {
	best := -1
	for i := range s.Shares {
		if s.busy[i] || s.out[i] {
			continue
		}
		if s.Shares[i].Turns == 0 {
			return i
		}
		if best < 0 || s.Shares[i].Credit > s.Shares[best].Credit {
			best = i
		}
	}
	return best
}

// Begin says that a target's turn begins: it is not next until it ends.
func (s *Schedule) Begin(i int) { s.busy[i] = true }

// Cancel says that a turn gave nothing, as the target could not run.
func (s *Schedule) Cancel(i int) { s.busy[i] = false }

// Out takes a target out of the schedule, or puts it back.
func (s *Schedule) Out(i int, out bool) { s.out[i] = out }

// End says what a turn gave, which kept workers busy for the time it took.
func (s *Schedule) End(i int, o Outcome, workers int) {
	s.busy[i] = false
	s.learn(i, &o)
	seconds := o.Took.Seconds() * float64(workers)
	for j, part := range s.parts() {
		s.Shares[j].Credit += part * seconds
	}
	s.Shares[i].Credit -= seconds
	limit := most * s.turn.Seconds()
	for j := range s.Shares {
		s.Shares[j].Credit = min(max(s.Shares[j].Credit, -limit), limit)
	}
}

// learn brings the estimate up to date: the longer a turn took, the more it counts.
func (s *Schedule) learn(i int, o *Outcome) {
	t := &s.Shares[i]
	t.Turns++
	t.Used += o.Took
	if o.Took <= 0 {
		return
	}
	gained := o.worth() / o.Took.Seconds()
	if t.Turns == 1 || o.Rebuilt {
		t.Estimate = gained
		return
	}
	fresh := 1 - math.Exp(-o.Took.Seconds()/(memory*s.turn.Seconds()))
	t.Estimate += fresh * (gained - t.Estimate)
}

// parts returns which part of each second the targets are owed. Those that are out are owed
// nothing.
func (s *Schedule) parts() []float64 {
	var weights, gains float64
	for i := range s.Shares {
		if !s.out[i] {
			weights += s.weights[i]
			gains += s.gain(i)
		}
	}
	parts := make([]float64, len(s.Shares))
	for i := range parts {
		if s.out[i] || weights == 0 {
			continue
		}
		even := s.weights[i] / weights
		parts[i] = even
		if gains > 0 {
			parts[i] = floor*even + (1-floor)*s.gain(i)/gains
		}
	}
	return parts
}

func (s *Schedule) gain(i int) float64 { return s.weights[i] * s.Shares[i].Estimate }
