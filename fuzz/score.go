package fuzz

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

const (
	// scoreAfter is how many batches run before any is scored: what is solved at once
	// needs no scores.
	scoreAfter = 64
	// scoreShare says that one batch in so many is scored, which takes longer than to
	// run it.
	scoreShare = 4
	// maxBest bounds the comparisons whose best inputs are kept.
	maxBest = 256
)

// scoring keeps, for each comparison that has never gone one way, the input that came
// nearest to that: where an operand is computed, its children come nearer.
type scoring struct {
	worker *worker
	solve  *solving
	scorer Scorer
	sites  []int // that are scored; nil until the first batch is
	scores []Score
	best   []*corpus.Input // by comparison
	usable []*corpus.Input // those of best whose comparison still has to go the other way
	rounds int
	next   bool // the next batch is scored
}

// newScoring returns nil where the executor cannot score, or is not to.
func newScoring(w *worker) *scoring {
	scorer, ok := w.exec.(Scorer)
	if !ok || w.solve == nil || w.run.opts.NoScores {
		return nil
	}
	n := len(w.run.target.Table().Comparisons)
	return &scoring{worker: w, solve: w.solve, scorer: scorer, scores: make([]Score, n), best: make([]*corpus.Input, n)}
}

// turn decides whether the next batch is to be scored.
func (s *scoring) turn() error {
	if s == nil {
		return nil
	}
	s.rounds++
	if s.next = s.rounds >= scoreAfter && s.rounds%scoreShare == 0; !s.next {
		return nil
	}
	if s.sites == nil {
		sites, short, err := s.scorer.Scored()
		if err != nil {
			return fmt.Errorf("asking which comparisons can be scored: %w", err)
		}
		if short != "" && s.worker.index == 0 { // it is the same for all workers
			s.worker.run.opts.Warn(errors.New(short))
		}
		s.sites = append(make([]int, 0, 1), sites[:min(len(sites), maxBest)]...)
		for _, i := range s.sites {
			s.scores[i].Distance = math.MaxUint64
		}
	}
	s.next = s.aim()
	return nil
}

// due reports whether the batch is to be scored.
func (s *scoring) due() bool { return s != nil && s.next }

// aim leaves only those scores to be beaten that are of interest, and reports whether
// there are any.
func (s *scoring) aim() bool {
	s.usable = s.usable[:0]
	any := false
	for _, i := range s.sites {
		if s.scores[i].Distance == 0 {
			continue // once gone both ways, or nothing that a distance tells
		}
		if !s.tells(i) {
			s.scores[i].Distance, s.best[i] = 0, nil
			continue
		}
		any = true
		if s.best[i] != nil {
			s.usable = append(s.usable, s.best[i])
		}
	}
	return any
}

// tells reports whether a comparison may still go a way of which the distance says how
// far it is. One that was never come to may.
func (s *scoring) tells(site int) bool {
	taken, fall := s.solve.Open(site, true), s.solve.Open(site, false)
	if taken == fall {
		return taken
	}
	r := s.worker.run.target.Table().Comparisons[site].Relation
	if fall {
		r = r.Negated()
	}
	return r != cover.NotEqual && r != cover.AnyBit
}

// score runs the batch and keeps what came nearer than anything before.
func (s *scoring) score(ctx context.Context, batch *Batch) error {
	if err := s.scorer.Score(ctx, s.scores); err != nil {
		return err
	}
	for _, i := range s.sites {
		if n := s.scores[i].Input; n >= 0 && n < batch.Len() && s.scores[i].Distance > 0 {
			s.best[i] = batch.Input(n).Clone()
		}
	}
	return nil
}

// parent returns one of the best inputs, or nil: mostly one where the batch is scored,
// else seldom.
func (s *scoring) parent(r uint64) *corpus.Input {
	if s == nil || len(s.usable) == 0 || s.next != (r&7 != 0) {
		return nil
	}
	return s.usable[r>>3%uint64(len(s.usable))]
}
