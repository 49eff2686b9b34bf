package campaign

import (
	"strings"
	"testing"
	"time"
)

// A session that was stopped goes on wherever the clock was set in the meantime: what it
// has used is counted, not read off two clocks.
func TestClockIsSetBetweenProcesses(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, jump := range map[string]time.Duration{"not": 0, "back": -48 * time.Hour, "forth": 48 * time.Hour, "to 1970": -time.Duration(now.UnixNano())} {
		past := NewPast(1)
		past.Begin(Nightly, 8*time.Hour, now, false)
		past.Session.Used = 3600
		if used := past.Begin(Nightly, 8*time.Hour, now.Add(jump), false); used != time.Hour {
			t.Errorf("the clock was set %s: it goes on behind %s", name, used)
		}
	}
}

// Whoever watches sees durations of the clock that nobody sets: moments on a board keep
// their reading of it.
func TestBoardKeepsTheSteadyClock(t *testing.T) {
	var b Board
	b.Update(func(s *Status) { s.Started = time.Now() })
	b.Update(func(*Status) {})
	s := b.Status()
	for what, at := range map[string]time.Time{"Started": s.Started, "Now": s.Now} {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s is %s, without a reading of the steady clock", what, at)
		}
	}
}

// Points never go back in time, whatever their clock does.
func TestPointsNeverGoBack(t *testing.T) {
	var s TargetStatus
	for i, at := range []time.Duration{1, 3, 2, 0, 4, -5} {
		s.AddPoint(Point{At: at * time.Second, Execs: uint64(i)})
	}
	want := []Point{{At: time.Second, Execs: 0}, {At: 3 * time.Second, Execs: 3}, {At: 4 * time.Second, Execs: 5}}
	if len(s.Points) != len(want) {
		t.Fatalf("points are %+v, want %+v", s.Points, want)
	}
	for i := range want {
		if s.Points[i] != want[i] {
			t.Errorf("point %d is %+v, want %+v", i, s.Points[i], want[i])
		}
	}
}
