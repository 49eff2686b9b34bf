package campaign

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestBoardKeepsWhatItHandedOut(t *testing.T) {
	var b Board
	if s := b.Status(); s == nil || s.Version != 0 {
		t.Fatalf("an empty board has %+v", s)
	}
	b.Update(func(s *Status) {
		s.Targets = []TargetStatus{{Name: "a", Points: []Point{{Edges: 1}}}}
		s.Notify(Notice{Text: "first"})
	})
	old := b.Status()
	b.Update(func(s *Status) {
		s.Target("a").Points[0].Edges = 2
		s.Target("a").State = Running
		s.Notify(Notice{Text: "second"})
	})
	if a := old.Target("a"); a.Points[0].Edges != 1 || a.State != Waiting || old.Notices[0].Text != "first" {
		t.Errorf("what was handed out became %+v", old)
	}
	now := b.Status()
	if a := now.Target("a"); a.Points[0].Edges != 2 || a.State != Running || now.Version != 2 {
		t.Errorf("the newest is %+v", now)
	}
	if len(now.Notices) != 2 || now.Notices[0].Text != "second" || now.Notices[1].Text != "first" {
		t.Errorf("notices are %+v", now.Notices)
	}
}

func TestBoardWakesAllThatWait(t *testing.T) {
	var b Board
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for version := uint64(0); version < 100; {
				s, err := b.Wait(t.Context(), version)
				if err != nil || s.Version <= version {
					t.Errorf("waiting for more than %d: %+v, error %v", version, s, err)
					return
				}
				version = s.Version
			}
		})
	}
	for range 100 {
		b.Update(func(*Status) {})
	}
	done.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was called off: %v", err)
	}
}

func TestPointsAreThinned(t *testing.T) {
	var s TargetStatus
	const n = 10 * MaxPoints
	for i := range n {
		s.AddPoint(Point{At: time.Duration(i) * time.Second, Execs: uint64(i)})
		s.AddPoint(Point{At: time.Duration(i) * time.Second, Execs: uint64(i) + 1})
	}
	if len(s.Points) > MaxPoints || len(s.Points) < MaxPoints/2 {
		t.Errorf("%d points are left", len(s.Points))
	}
	if last := s.Points[len(s.Points)-1]; last.Execs != n {
		t.Errorf("the last one is %+v", last)
	}
	for i := 1; i < len(s.Points); i++ {
		if s.Points[i-1].At >= s.Points[i].At {
			t.Fatalf("point %d is at %s, the next at %s", i-1, s.Points[i-1].At, s.Points[i].At)
		}
	}
}

func TestListsAreBounded(t *testing.T) {
	var s TargetStatus
	for i := range 3 * MaxGains {
		s.AddGain(Gain{Edges: i})
	}
	if len(s.Gains) != MaxGains || s.Gains[0].Edges != 3*MaxGains-1 || s.Gains[MaxGains-1].Edges != 2*MaxGains {
		t.Errorf("gains are %+v", s.Gains)
	}
}
