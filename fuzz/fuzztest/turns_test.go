package fuzztest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestTurns: programs share a limit, and take turns for ever where there is none. Turns
// get longer up to a bound and stay there, however many there are.
func TestTurns(t *testing.T) {
	a, b := &subject{}, &subject{}
	seconds := func(n ...time.Duration) (turns []limit) {
		for _, n := range n {
			turns = append(turns, limit{time: n * time.Second})
		}
		return turns
	}
	for _, test := range []struct {
		name     string
		subjects []*subject
		all      limit
		want     []limit // the first of them
		turns    int
	}{
		{"one program has all", []*subject{a}, limit{execs: 7}, []limit{{execs: 7}}, 1},
		{"one program without a limit", []*subject{a}, limit{}, []limit{{}}, 1},
		{"executions are shared", []*subject{a, b}, limit{execs: 7}, []limit{{execs: 3}, {execs: 3}}, 2},
		{"time is shared", []*subject{a, b}, limit{time: 6 * time.Second}, seconds(3, 3), 2},
		{"without a limit", []*subject{a, b}, limit{}, seconds(2, 2, 4, 4, 8, 8), 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var turns []limit
			err := takeTurns(ctx, test.subjects, test.all, func(_ context.Context, s *subject, turn limit) error {
				if want := test.subjects[len(turns)%len(test.subjects)]; s != want {
					t.Errorf("turn %d is not the next program's", len(turns))
				}
				if turns = append(turns, turn); len(turns) == 1000 {
					cancel()
				}
				return nil
			})
			if err != nil || len(turns) != test.turns || !slices.Equal(turns[:len(test.want)], test.want) {
				t.Fatalf("error %v after %d turns of %v", err, len(turns), turns)
			}
			if last := turns[len(turns)-1]; test.turns == 1000 && last != (limit{time: lastTurn}) {
				t.Errorf("turn %d is of %v", len(turns), last)
			}
		})
	}
}

// TestTurnsEnd: an error of one program ends them all.
func TestTurnsEnd(t *testing.T) {
	turns := 0
	err := takeTurns(t.Context(), []*subject{{}, {}}, limit{}, func(context.Context, *subject, limit) error {
		if turns++; turns == 2 {
			return errFailed
		}
		return nil
	})
	if !errors.Is(err, errFailed) || turns != 2 {
		t.Errorf("error %v after %d turns", err, turns)
	}
}
