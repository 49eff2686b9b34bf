package fuzz

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// children is how many neighbouring inputs of a batch descend from one parent:
// enough that its bytes stay in the cache, few enough that a batch explores.
const children = 8

// worker owns an executor and everything that the hot loop touches.
type worker struct {
	run   *run
	index int
	rng   *rand.PCG
	mut   *mutate.Mutator
	exec  Executor
	lane  *journal.Lane // nil where nothing is noted
	fail  *failures
	solve *solving // nil where the executor is no Comparer
	score *scoring // nil where it is no Scorer
	more  further
	hear  *listening // nil where nobody listens

	seen     *cover.Seen     // what the worker knows: at least its snapshot
	noted    [2]unattributed // of batches without and with shared state
	snapshot *corpus.Snapshot
	cover    []byte      // of the last batch, kept while inputs run alone
	failed   []failed    // inputs of the batch that an oracle objected to
	stateful []string    // oracles of those of them that failed because of others
	sampleIn int         // inputs until the next one that is judged alone
	each     corpus.Have // what oracles read on every execution and batches do not record

	execs, failing, unconfirmed, solved atomic.Uint64
}

// failed is an input of the batch that an oracle objected to, at one of its steps.
type failed struct {
	input, step int
	failure     *triage.Failure
}

func newWorker(r *run, index int) *worker {
	w := &worker{run: r, index: index, rng: rand.NewPCG(r.opts.Seed, uint64(index))}
	opts := r.opts.Mutate
	opts.Seed = w.rng.Uint64()
	w.mut = mutate.New(r.target.Shape(), opts)
	w.seen = cover.NewSeen(r.target.Table().Len())
	w.fail = newFailures(w)
	w.sampleIn = w.sampleStep()
	w.more.worker = w
	w.each = r.opts.Judge.EveryNeeds() &^ (corpus.HaveRet | corpus.HavePacket)
	return w
}

// work is the worker's goroutine; the executor may lock it to its thread.
func (w *worker) work(ctx context.Context) (err error) {
	w.exec, err = w.run.target.NewExecutor(w.index)
	if err != nil {
		return fmt.Errorf("starting worker %d: %w", w.index, err)
	}
	defer func() {
		if closeErr := w.exec.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing the executor of worker %d: %w", w.index, closeErr)
		}
	}()
	if err := w.openLane(); err != nil {
		return err
	}
	w.solve = newSolving(w)
	w.score = newScoring(w)
	w.hear = newListening(w)
	if err := w.start(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := w.receive(ctx); err != nil {
			return err
		}
		if err := w.solve.solve(ctx); err != nil {
			return err
		}
		if err := w.round(ctx); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// round fills a batch, runs it and looks at what came of it.
func (w *worker) round(ctx context.Context) error {
	batch := w.exec.Batch()
	limit := w.run.claim(uint64(batch.Cap()))
	if limit == 0 {
		return errExecs
	}
	if err := w.score.turn(); err != nil {
		return err
	}
	w.more.turn()
	w.fill(batch, int(limit))
	w.run.unclaim(limit - uint64(len(batch.Slots()))) // or a sequence took a few more
	if w.each != 0 {
		return w.roundAlone(ctx, batch)
	}
	if err := w.runBatch(ctx, batch); err != nil {
		return err
	}
	if err := w.more.look(ctx, batch); err != nil {
		return err
	}
	return w.judgeSample(ctx, batch)
}

// runBatch runs a batch, keeps what is new and looks into what fails.
func (w *worker) runBatch(ctx context.Context, batch *Batch) error {
	if err := w.execute(ctx, batch); err != nil {
		return fmt.Errorf("running a batch: %w", err)
	}
	w.execs.Add(uint64(len(batch.Slots())))
	if err := w.hear.note(); err != nil {
		return err
	}
	fresh := w.seen.Adds(w.exec.Cover()) && w.notedBy(batch).adds(w.exec.Cover(), w.seen)
	w.judge(batch) // reads outcomes, so before anything runs alone
	w.more.note(batch)
	if fresh {
		w.cover = append(w.cover[:0], w.exec.Cover()...)
		if err := w.attribute(ctx, batch); err != nil {
			return err
		}
	}
	if err := w.investigate(ctx, batch); err != nil {
		return err
	}
	return w.hear.look(ctx, batch)
}

// investigate looks into the inputs of the batch that failed. Where one only fails
// after others, so do most of those that fail alike: one of them is enough for now.
func (w *worker) investigate(ctx context.Context, batch *Batch) error {
	w.stateful = w.stateful[:0]
	for _, f := range w.failed {
		if ctx.Err() != nil || slices.Contains(w.stateful, f.failure.Oracle) {
			continue
		}
		in, err := w.reproducible(ctx, batch, f)
		if err != nil {
			return err
		}
		before := w.unconfirmed.Load()
		aside := func() *triage.Unconfirmed { return w.unconfirmedIn(batch, f) }
		if err := w.fail.investigate(ctx, in, f.failure, aside); err != nil {
			return err
		}
		if in != batch.Input(f.input) || w.unconfirmed.Load() > before {
			w.stateful = append(w.stateful, f.failure.Oracle)
		}
	}
	return nil
}

// roundAlone runs the inputs of a batch one by one, for oracles that read on every
// execution what a batch does not record.
func (w *worker) roundAlone(ctx context.Context, batch *Batch) error {
	w.run.unclaim(uint64(len(batch.Slots()))) // they are claimed one by one
	for i := range batch.Len() {
		if ctx.Err() != nil {
			return nil
		}
		if err := w.try(ctx, batch.Input(i)); err != nil {
			return err
		}
	}
	w.more.found = w.more.found[:0] // the batch has no outcomes
	if err := w.more.look(ctx, batch); err != nil {
		return err
	}
	return w.judgeSample(ctx, batch)
}

// notedBy returns what is noted of batches like this one.
func (w *worker) notedBy(batch *Batch) *unattributed {
	if len(batch.Order()) > 0 {
		return &w.noted[1]
	}
	return &w.noted[0]
}

// execute notes and runs the batch, and scores it when its turn has come.
func (w *worker) execute(ctx context.Context, batch *Batch) error {
	if err := batch.noteRun(); err != nil {
		return err
	}
	defer w.lane.Ran()
	if w.score.due() {
		return w.score.score(ctx, batch)
	}
	return w.exec.Run(ctx)
}

// fill writes up to limit children of entries into the batch.
func (w *worker) fill(batch *Batch, limit int) {
	snapshot := w.run.corpus.Snapshot()
	if snapshot != w.snapshot {
		w.snapshot = snapshot
		if w.seen.Merge(snapshot.Seen()) > 0 {
			w.more.grown()
			if w.solve != nil {
				w.solve.stale = true
			}
		}
	}
	batch.Reset()
	w.solve.sweep(batch, limit)
	var parent, other *corpus.Input
	for n := 0; len(batch.Slots()) < limit; n++ {
		in := batch.Next()
		if in == nil {
			return
		}
		if n%children == 0 {
			parent, other = snapshot.Pick(w.rng.Uint64()).Input, snapshot.Pick(w.rng.Uint64()).Input
			if best := w.score.parent(w.rng.Uint64()); best != nil {
				parent = best
			}
		}
		w.mut.Mutate(in, parent, other)
		batch.Commit()
	}
}

// judge collects the inputs of the batch that an oracle objects to.
func (w *worker) judge(batch *Batch) {
	w.failed = w.failed[:0]
	judge := w.run.opts.Judge
	if judge == nil {
		return
	}
	for i := range batch.Len() {
		if f := judge.Every(batch.Input(i), batch.Outcome(i)); f != nil {
			w.failing.Add(1)
			if w.fail.due(f) {
				w.failed = append(w.failed, failed{i, w.failingStep(batch, i, f), f})
			}
		}
	}
}

// failingStep returns the first step of the i-th input after which it fails.
func (w *worker) failingStep(batch *Batch, i int, f *triage.Failure) int {
	in, out := batch.Input(i), batch.Outcome(i)
	for n := 1; n < len(in.Steps); n++ {
		begin, result := corpus.Input{Maps: in.Maps, Steps: in.Steps[:n]}, *out
		result.Steps = out.Steps[:n]
		if first := w.run.opts.Judge.Every(&begin, &result); first != nil && first.Oracle == f.Oracle {
			return n - 1
		}
	}
	return len(in.Steps) - 1
}

// judgeSample judges alone the inputs of the batch that the sample falls on.
func (w *worker) judgeSample(ctx context.Context, batch *Batch) error {
	for w.sampleIn < batch.Len() {
		if err := w.judgeAlone(ctx, batch.Input(w.sampleIn)); err != nil {
			return err
		}
		w.sampleIn += w.sampleStep()
	}
	w.sampleIn -= batch.Len()
	return nil
}

// sampleStep returns a distance with a mean of Options.Sample, so that the sample
// does not fall in step with anything else.
func (w *worker) sampleStep() int { return 1 + int(w.rng.Uint64()%uint64(2*w.run.opts.Sample-1)) }

// alone runs an input from the initial state and counts its executions.
func (w *worker) alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	n := uint64(len(in.Steps))
	w.run.spend(n)
	w.execs.Add(n)
	w.lane.Alone(in)
	out, err := w.exec.Alone(ctx, in, want)
	w.lane.AloneRan()
	if err != nil {
		return nil, fmt.Errorf("running an input alone: %w", err)
	}
	return out, nil
}

// spend counts n executions, or ends the run where there were enough.
func (w *worker) spend(n uint64) error {
	if w.run.exhausted() {
		return errExecs
	}
	w.run.spend(n)
	w.execs.Add(n)
	return nil
}

// judgeAlone asks the oracles and relations that do not judge inside batches.
func (w *worker) judgeAlone(ctx context.Context, in *corpus.Input) error {
	judge := w.run.opts.Judge
	if judge == nil {
		return nil
	}
	f, err := judge.Sampled(ctx, w.alone, in)
	if f == nil || err != nil {
		return err
	}
	w.failing.Add(1)
	if !w.fail.due(f) {
		return nil
	}
	return w.fail.investigate(ctx, in, f, func() *triage.Unconfirmed { return w.unconfirmedAlone(in, f) })
}
