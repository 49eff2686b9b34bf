package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func planned(n int) []Target {
	all := make([]Target, n)
	for i := range all {
		all[i] = Target{Name: fmt.Sprintf("t%d", i), Weight: 1}
	}
	return all
}

// pretend is what turns do in these tests: they take their time and note that.
type pretend struct {
	mu     sync.Mutex
	turns  []Turn
	busy   int // workers
	most   int
	twice  bool // one target had two turns at once
	at     map[string]bool
	broken map[string]bool
}

func (p *pretend) do(ctx context.Context, turn Turn) (Outcome, error) {
	p.mu.Lock()
	name := turn.Target.Name
	if p.at == nil {
		p.at = map[string]bool{}
	}
	p.twice = p.twice || p.at[name]
	p.at[name] = true
	p.turns = append(p.turns, turn)
	p.busy += turn.Workers
	p.most = max(p.most, p.busy)
	broken := p.broken[name]
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy -= turn.Workers
		p.at[name] = false
	}()
	if broken {
		return Outcome{}, errors.New("broken")
	}
	select {
	case <-time.After(turn.Length + time.Millisecond):
	case <-ctx.Done():
	}
	return Outcome{Execs: 10, Edges: 1}, nil
}

func (p *pretend) count(name string, check bool) int {
	n := 0
	for _, t := range p.turns {
		if t.Target.Name == name && t.Check == check {
			n++
		}
	}
	return n
}

func TestRunGivesEveryTargetTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, past, start := &pretend{}, NewPast(1), time.Now()
		past.Begin(Nightly, time.Hour, time.Now(), false)
		if err := Run(t.Context(), Options{Targets: planned(10), Workers: 3, Duration: time.Hour, Past: past, Do: p.do}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < time.Hour || took > time.Hour+time.Minute {
			t.Errorf("an hour took %s", took)
		}
		if p.twice || p.most != 3 {
			t.Errorf("%d workers were busy at once; a target twice: %v", p.most, p.twice)
		}
		for i := range 10 {
			name := fmt.Sprintf("t%d", i)
			if n := p.count(name, false); n < 10 {
				t.Errorf("%s had %d turns", name, n)
			}
			if s := past.Targets[name]; s.Turns != p.count(name, false) || s.Execs != 10*uint64(s.Turns) {
				t.Errorf("the past of %s is %+v", name, s)
			}
		}
		if !past.Session.Ended || past.Session.Used < 3600 {
			t.Errorf("the session is %+v", past.Session)
		}
	})
}

// Where there is less time than targets, turns are shorter, and each has one.
func TestRunWithLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pretend{}
		if err := Run(t.Context(), Options{Targets: planned(24), Workers: 2, Duration: 2 * time.Minute, Past: NewPast(1), Do: p.do}); err != nil {
			t.Fatal(err)
		}
		for i := range 24 {
			if n := p.count(fmt.Sprintf("t%d", i), false); n != 1 {
				t.Errorf("target %d had %d turns", i, n)
			}
		}
		if p.turns[0].Length != 10*time.Second {
			t.Errorf("the first turn was to take %s", p.turns[0].Length)
		}
	})
}

func TestRunSharesWorkers(t *testing.T) {
	targets := planned(3)
	targets[1].Workers = 4
	for _, test := range []struct {
		name    string
		targets []Target
		workers int
		want    map[string]int
	}{
		{"fewer targets than workers", planned(2), 5, map[string]int{"t0": 2, "t1": 2}},
		{"as the file says", targets, 4, map[string]int{"t0": 1, "t1": 4, "t2": 1}},
		{"no more than there are", targets, 2, map[string]int{"t0": 1, "t1": 2, "t2": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pretend{}
				if err := Run(t.Context(), Options{Targets: test.targets, Workers: test.workers, Duration: 20 * time.Minute, Past: NewPast(1), Do: p.do}); err != nil {
					t.Fatal(err)
				}
				if p.most > test.workers {
					t.Errorf("%d workers were busy at once", p.most)
				}
				for name, want := range test.want {
					if n := p.count(name, false); n < 3 {
						t.Errorf("%s had %d turns", name, n)
					}
					i := slices.IndexFunc(p.turns, func(turn Turn) bool { return turn.Target.Name == name })
					if got := p.turns[i].Workers; got != want {
						t.Errorf("%s had %d workers, want %d", name, got, want)
					}
				}
			})
		})
	}
}

// What cannot run is tried again, less and less often, and runs once it can.
func TestRunTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, past := &pretend{broken: map[string]bool{"t1": true}}, NewPast(1)
		mended := time.AfterFunc(2*time.Hour, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.broken = nil
		})
		defer mended.Stop()
		tries, ran := 0, 0
		err := Run(t.Context(), Options{
			Targets: planned(3), Duration: 4 * time.Hour, Past: past, Do: p.do,
			Ended: func(turn Turn, _ Outcome, err error) {
				switch {
				case turn.Target.Name != "t1":
				case err != nil:
					tries++
					if past.Targets["t1"].Problem != "broken" {
						t.Errorf("its past is %+v", past.Targets["t1"])
					}
				default:
					ran++
				}
			},
		})
		if err != nil || tries < 5 || tries > 12 || ran < 10 {
			t.Errorf("it was tried %d times, then ran %d times, error %v", tries, ran, err)
		}
		if p := past.Targets["t1"]; p.Problem != "" || p.Turns != ran {
			t.Errorf("its past is %+v", p)
		}
	})
}

func TestRunWhereNothingRuns(t *testing.T) {
	for _, mode := range []Options{{Duration: time.Hour}, {Check: true, Duration: time.Hour}, {CheckOnly: true}, {}} {
		synctest.Test(t, func(t *testing.T) {
			p := &pretend{broken: map[string]bool{"t0": true, "t1": true}}
			mode.Targets, mode.Past, mode.Do = planned(2), NewPast(1), p.do
			if err := Run(t.Context(), mode); !errors.Is(err, ErrNothingRan) || len(p.turns) != 2 {
				t.Errorf("error %v after %d turns", err, len(p.turns))
			}
		})
	}
}

func TestRunChecksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, past := &pretend{}, NewPast(1)
		past.Target("t2").Checked = true // before the campaign was stopped
		if err := Run(t.Context(), Options{Targets: planned(4), Workers: 2, Check: true, Duration: 10 * time.Minute, Past: past, Do: p.do}); err != nil {
			t.Fatal(err)
		}
		last, first := 0, len(p.turns)
		for i, turn := range p.turns {
			if turn.Check {
				last = i
			} else {
				first = min(first, i)
			}
		}
		if last > first || p.count("t0", true) != 1 || p.count("t2", true) != 0 || p.count("t2", false) == 0 {
			t.Errorf("checked last: turn %d, fuzzed first: turn %d", last, first)
		}
		if past.Session.Used < 600 || past.Session.Used > 660 {
			t.Errorf("checks count as time: %f seconds", past.Session.Used)
		}
		only := &pretend{}
		if err := Run(t.Context(), Options{Targets: planned(4), CheckOnly: true, Past: NewPast(1), Do: only.do}); err != nil || len(only.turns) != 4 {
			t.Errorf("of four targets %d were checked, error %v", len(only.turns), err)
		}
	})
}

// A campaign that is stopped goes on with what was left of its time, with other seeds, and
// where its schedule was.
func TestRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		past := NewPast(7)
		past.Begin(Nightly, time.Hour, time.Now(), false)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute+30*time.Second)
		defer cancel()
		first := &pretend{}
		if err := Run(ctx, Options{Targets: planned(3), Duration: time.Hour, Past: past, Do: first.do}); err != nil {
			t.Fatal(err)
		}
		if past.Session.Ended || past.Session.Used < 1200 || past.Session.Used > 1260 {
			t.Fatalf("the session that was stopped is %+v", past.Session)
		}
		credit := past.Targets["t1"].Credit
		if used := past.Begin(Nightly, time.Hour, time.Now(), false); used < 20*time.Minute {
			t.Errorf("it goes on behind %s", used)
		}
		second, start := &pretend{}, time.Now()
		if err := Run(t.Context(), Options{Targets: planned(3), Duration: time.Hour, Past: past, Do: second.do}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 39*time.Minute || took > 41*time.Minute {
			t.Errorf("what was left took %s", took)
		}
		if second.turns[0].Number == 0 || credit == 0 {
			t.Errorf("it began anew: turn %+v, credit %f", second.turns[0], credit)
		}
		seeds := map[uint64]bool{}
		for _, turn := range append(first.turns, second.turns...) {
			if seeds[turn.Seed] {
				t.Errorf("seed %d is used twice", turn.Seed)
			}
			seeds[turn.Seed] = true
		}
	})
}

// A process may be killed at any moment: what was stored a few seconds before is enough.
func TestRunStoresItsPastAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		past, p, last := NewPast(1), &pretend{}, time.Now()
		err := Run(t.Context(), Options{
			Targets: planned(1), Duration: 10 * time.Minute, Past: past, Do: p.do,
			Saved: func() {
				if since := time.Since(last); since > saveEvery {
					t.Errorf("stored again after %s", since)
				}
				last = time.Now()
			},
		})
		if err != nil || time.Since(last) > 0 {
			t.Errorf("stored last %s before the end, error %v", time.Since(last), err)
		}
	})
}

// A target that was built again is next, also one that could not run.
func TestRunPrefersNewBuilds(t *testing.T) {
	for _, broken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &pretend{broken: map[string]bool{"t7": broken}}
			start := time.Now()
			built, again := start.Add(91*time.Minute), false
			err := Run(t.Context(), Options{
				Targets: planned(10), Duration: 2 * time.Hour, Past: NewPast(1), Do: p.do,
				Changed: func(target *Target) bool {
					return target.Name == "t7" && !again && !time.Now().Before(built)
				},
				Began: func(turn Turn) {
					if !again && !time.Now().Before(built) {
						if turn.Target.Name != "t7" || time.Since(built) > time.Minute {
							t.Errorf("%s behind the build is %s", time.Since(built), turn.Target.Name)
						}
						again = true
					}
				},
			})
			if err != nil || !again {
				t.Errorf("error %v; it had its turn: %v", err, again)
			}
		})
	}
}
