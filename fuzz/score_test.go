package fuzz

import (
	"context"
	"math"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// toyScorer scores batches by running their inputs one by one.
type toyScorer struct {
	*toyComparer
	asked int
}

func (e *toyScorer) Scored() ([]int, string, error) {
	sites := make([]int, len(e.toy.table.Comparisons))
	for i := range sites {
		sites[i] = i
	}
	return sites, "", nil
}

func (e *toyScorer) Score(ctx context.Context, scores []Score) error {
	e.asked++
	for i := range scores {
		scores[i].Input = -1
	}
	for i := range e.batch.Len() {
		compared, err := e.Compare(ctx, e.batch.Input(i), nil)
		if err != nil {
			return err
		}
		for _, c := range compared {
			site := &e.toy.table.Comparisons[c.Site]
			d := max(site.Distance(c, true), site.Distance(c, false))
			if d < scores[c.Site].Distance {
				scores[c.Site] = Score{Distance: d, Input: i}
			}
		}
	}
	return e.Run(ctx)
}

type scoredToy struct{ *toy }

func (t scoredToy) NewExecutor(worker int) (Executor, error) {
	exec, err := t.toy.NewExecutor(worker)
	return &toyScorer{toyComparer: exec.(*toyComparer)}, err
}

// TestScoresClimb has an operand that the solver cannot take apart: bits of the packet
// count one by one, each only after the one before.
func TestScoresClimb(t *testing.T) {
	const rungs = 20
	ladder := func(p []byte) (n uint64) {
		for n < rungs && (p[n%12]>>(n/12*3%8)&1 == uint8(n*n/3&1)) {
			n++
		}
		return n
	}
	target := puzzle(cover.Comparison{Relation: cover.GreaterEqual}, func(p []byte) (uint64, uint64) { return ladder(p), rungs })
	opts := Options{Seed: 1, Execs: 1_000_000, StopOnFinding: true}
	result := runToy(t, scoredToy{target}, opts)
	if len(result.Findings) != 1 {
		t.Errorf("no finding after %d executions", result.Stats.Execs)
	}
	t.Logf("%d executions", result.Stats.Execs)
	opts.Execs = result.Stats.Execs
	if result := runToy(t, target, opts); len(result.Findings) != 0 {
		t.Errorf("a finding after %d executions without scores: the test shows nothing", result.Stats.Execs)
	}
}

func TestScoringAims(t *testing.T) {
	target := newToy(7, func(*toyRun, []byte) uint32 { return 2 }).comparing(
		cover.Comparison{Relation: cover.Equal}, cover.Comparison{Relation: cover.Equal}, cover.Comparison{Relation: cover.Less},
	)
	r := newRun(scoredToy{target}, Options{}.withDefaults())
	w := r.workers[0]
	var err error
	if w.exec, err = r.target.NewExecutor(0); err != nil {
		t.Fatal(err)
	}
	w.solve = newSolving(w)
	s := newScoring(w)
	// The first was never equal, the second always, the third less and not less.
	w.seen.Merge([]byte{0: 1, 1: 1, 4: 1, 5: 1, 6: 1, 7: 0})
	for range scoreAfter - 1 {
		if err := s.turn(); s.due() || err != nil {
			t.Fatalf("due too early, or %v", err)
		}
	}
	if err := s.turn(); !s.due() || err != nil {
		t.Fatalf("not due, or %v", err)
	}
	for i, want := range []uint64{math.MaxUint64, 0, 0} {
		if got := s.scores[i].Distance; got != want {
			t.Errorf("comparison %d: a distance of %d to beat, want %d", i, got, want)
		}
	}
	s.best[0] = &corpus.Input{}
	if !s.aim() || s.parent(1) != s.best[0] || s.parent(0) != nil {
		t.Error("the best input is not used as a parent")
	}
	w.seen.Merge([]byte{2: 1, 7: 0})
	w.solve.stale = true
	if s.aim() || s.parent(1) != nil {
		t.Error("the best input is still used after the comparison went both ways")
	}
}
