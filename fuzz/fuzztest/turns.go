package fuzztest

import (
	"context"
	"time"
)

// takeTurns calls fuzz with one program after the other, each with its share of the
// limit, and again and again where there is none. It returns the first error, and nil
// when ctx has ended.
func takeTurns(ctx context.Context, subjects []*subject, all limit, fuzz func(context.Context, *subject, limit) error) error {
	if len(subjects) == 1 {
		return fuzz(ctx, subjects[0], all)
	}
	endless := all == limit{}
	turn := all.share(len(subjects))
	if endless {
		turn = limit{time: firstTurn}
	}
	for {
		for _, sub := range subjects {
			if ctx.Err() != nil {
				return nil
			}
			if err := fuzz(ctx, sub, turn); err != nil {
				return err
			}
		}
		if !endless {
			return nil
		}
		turn.time = min(2*turn.time, lastTurn)
	}
}

// Turns get longer, so that what one program takes to start matters less and less. The
// first are short: what fails at once is found in each program soon.
const (
	firstTurn = 2 * time.Second
	lastTurn  = 10 * time.Minute
)
