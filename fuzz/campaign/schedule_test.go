package campaign

import (
	"math"
	"slices"
	"testing"
	"time"
)

// simulated is a target that has found most(1-exp(-t/slow)) edges after t seconds, from
// the second late on.
type simulated struct {
	most, slow, late float64
	used, found      float64
	turns            []int // when it had them
}

func (s *simulated) turn(seconds float64) Outcome {
	s.used += seconds
	total := s.most * (1 - math.Exp(-max(s.used-s.late, 0)/s.slow))
	edges := int(total) - int(s.found)
	s.found = max(total, s.found)
	return Outcome{Took: time.Duration(seconds * float64(time.Second)), Edges: edges}
}

// simulate gives one worker's turns away and returns what was found in all.
func simulate(targets []*simulated, turns int, next func(s *Schedule, turn int) int) float64 {
	weights := make([]float64, len(targets))
	for i := range weights {
		weights[i] = 1
	}
	s := NewSchedule(weights, time.Minute)
	for turn := range turns {
		i := next(s, turn)
		s.Begin(i)
		targets[i].turns = append(targets[i].turns, turn)
		s.End(i, targets[i].turn(60), 1)
	}
	var found float64
	for _, t := range targets {
		found += t.found
	}
	return found
}

func byGain(s *Schedule, _ int) int { return s.Next() }

// some targets: many that are soon exhausted and a few that take hours.
func some() []*simulated {
	var all []*simulated
	for i := range 24 {
		if i%6 == 0 {
			all = append(all, &simulated{most: 2000, slow: 20000})
		} else {
			all = append(all, &simulated{most: 100, slow: 30})
		}
	}
	return all
}

func TestScheduleSharesByGain(t *testing.T) {
	const turns = 480
	even := simulate(some(), turns, func(_ *Schedule, turn int) int { return turn % 24 })
	targets := some()
	shared := simulate(targets, turns, byGain)
	t.Logf("found by gain %.0f, in turn %.0f", shared, even)
	if shared < 1.3*even {
		t.Errorf("by gain %.0f edges are found, in turn %.0f", shared, even)
	}
	for i, s := range targets {
		if s.turns[0] != i {
			t.Errorf("the first turn of target %d is the %dth", i, s.turns[0])
		}
		if least := floor * turns / 24 / 2; float64(len(s.turns)) < least {
			t.Errorf("target %d had %d turns, at least %.1f are its floor", i, len(s.turns), least)
		}
		for j := 1; j < len(s.turns); j++ {
			if wait := s.turns[j] - s.turns[j-1]; wait > 200 {
				t.Errorf("target %d waited for %d turns", i, wait)
			}
		}
	}
}

// One that begins to gain late is noticed, since each has its floor.
func TestScheduleNoticesLateGains(t *testing.T) {
	targets := []*simulated{{most: 500, slow: 300, late: 240}}
	for range 9 {
		targets = append(targets, &simulated{most: 50, slow: 30})
	}
	simulate(targets, 400, byGain)
	if late := targets[0]; late.found < 450 || len(late.turns) < 20 {
		t.Errorf("it found %.0f edges in %d of 400 turns", late.found, len(late.turns))
	}
}

func TestScheduleIsDeterministic(t *testing.T) {
	a, b := some(), some()
	simulate(a, 200, byGain)
	simulate(b, 200, byGain)
	for i := range a {
		if !slices.Equal(a[i].turns, b[i].turns) {
			t.Errorf("target %d had turns %v, then %v", i, a[i].turns, b[i].turns)
		}
	}
}

func TestScheduleWeights(t *testing.T) {
	s := NewSchedule([]float64{3, 1}, time.Minute)
	turns := [2]int{}
	for range 80 {
		i := s.Next()
		s.Begin(i)
		turns[i]++
		s.End(i, Outcome{Took: time.Minute}, 1)
	}
	if turns[0] < 58 || turns[0] > 62 {
		t.Errorf("with weights 3 and 1 and no gains the turns are %v", turns)
	}
}

func TestScheduleBusyAndOut(t *testing.T) {
	s := NewSchedule([]float64{1, 1, 1}, time.Minute)
	s.Begin(0)
	s.Out(1, true)
	if i := s.Next(); i != 2 {
		t.Errorf("the next is %d", i)
	}
	s.Begin(2)
	if i := s.Next(); i != -1 {
		t.Errorf("there is a next: %d", i)
	}
	s.End(0, Outcome{Took: time.Minute, Edges: 5}, 1)
	s.Cancel(2)
	s.Out(1, false)
	if i := s.Next(); i != 1 {
		t.Errorf("of those that had no turn the next is %d", i)
	}
	if s.Shares[1].Credit != 0 {
		t.Errorf("one that was out is owed %f seconds", s.Shares[1].Credit)
	}
}

// A target that was out for long, or at work for long, does not have all turns behind that.
func TestScheduleCreditIsBounded(t *testing.T) {
	s := NewSchedule([]float64{1, 1}, time.Minute)
	s.Begin(0)
	s.End(0, Outcome{Took: 1000 * time.Hour}, 1)
	if limit := most * 60.0; s.Shares[0].Credit != -limit || s.Shares[1].Credit != limit {
		t.Errorf("the credits are %+v", s.Shares)
	}
}

func TestScheduleForgetsOldBuilds(t *testing.T) {
	s := NewSchedule([]float64{1}, time.Minute)
	for _, o := range []Outcome{{Edges: 600}, {}, {}, {}, {Edges: 60, Rebuilt: true}} {
		s.Begin(0)
		o.Took = time.Minute
		s.End(0, o, 1)
	}
	if got := s.Shares[0].Estimate; got != 1 {
		t.Errorf("%f edges per second are expected of the new build", got)
	}
}
