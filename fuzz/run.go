package fuzz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Result is what a run came to.
type Result struct {
	Stats    Stats
	Findings []*triage.Finding
	// Entries are the corpus at the end, in the order in which they were found, without
	// those that are kept for further features alone.
	Entries []*corpus.Entry
}

// Reasons why a run ends in order; they never leave the package.
var (
	errTime    = errors.New("time is up")
	errExecs   = errors.New("enough executions")
	errFinding = errors.New("first finding")
)

// Run fuzzes target until ctx ends or a limit of opts is reached, whichever comes
// first, and returns what was found so far in either case. The error is a failure
// of the fuzzer or of one of the functions in opts, never a finding.
func Run(ctx context.Context, target Target, opts Options) (*Result, error) {
	opts = opts.withDefaults()
	if err := errors.Join(check(target, "seed", opts.Seeds), check(target, "input in flight", opts.Resume)); err != nil {
		return nil, err
	}
	r := newRun(target, opts)
	runCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if opts.Duration > 0 {
		timer := time.AfterFunc(opts.Duration, func() { stop(errTime) })
		defer timer.Stop()
	}
	err := r.work(runCtx, stop)
	return r.result(), err
}

// check returns what keeps the first illegal input from being run.
func check(target Target, what string, inputs []*corpus.Input) error {
	for i, in := range inputs {
		if err := target.Shape().Check(in); err != nil {
			return fmt.Errorf("checking %s %d: %w", what, i, err)
		}
	}
	return nil
}

// run is the state that the workers of one Run share.
type run struct {
	target   Target
	opts     Options
	started  time.Time
	corpus   *corpus.Corpus
	keeper   *keeper
	findings *findings
	workers  []*worker
	seeds    *seedRow
	seeded   chan struct{} // closed when the seeds have been tried
	execs    atomic.Uint64 // claimed against opts.Execs
	newest   atomic.Int64  // when the newest entry came, in ns since started
	found    atomic.Int64  // entries that are no seeds
	gains    *gains        // nil where nobody wants to know

	mu       sync.Mutex
	unstable []byte // features that some second run did not repeat
	executor string
}

func newRun(target Target, opts Options) *run {
	n := target.Table().Len()
	r := &run{
		target: target, opts: opts, started: time.Now(),
		corpus: corpus.New(n), keeper: newKeeper(&opts), findings: newFindings(opts.Report),
		seeds: newSeedRow(opts.Seeds), seeded: make(chan struct{}), unstable: make([]byte, n),
		gains: newGains(target.Table(), opts.Gained),
	}
	for i := range opts.Workers {
		r.workers = append(r.workers, newWorker(r, i))
	}
	return r
}

// work runs workers, keeper and progress until one fails or ctx ends.
func (r *run) work(ctx context.Context, stop context.CancelCauseFunc) error {
	var workers, others sync.WaitGroup
	errs := make([]error, len(r.workers)+1)
	for i, w := range r.workers {
		workers.Go(func() {
			r.guarded(func() { errs[i] = w.work(ctx) })
			// Who gets no more executions leaves the others to theirs.
			if errs[i] != nil && !errors.Is(errs[i], errExecs) {
				stop(errs[i])
			}
		})
	}
	// The keeper outlives the workers: what they found last is stored as well.
	keep, kept := context.WithCancel(context.WithoutCancel(ctx))
	others.Go(func() {
		var err error
		if r.guarded(func() { err = r.keeper.run(keep) }); err != nil {
			errs[len(r.workers)] = err
			stop(err)
		}
	})
	if r.opts.Progress != nil {
		others.Go(func() { r.guarded(func() { r.progress(keep) }) })
	}
	workers.Wait()
	kept()
	others.Wait()
	return failure(errs)
}

// guarded announces a panic of do, which goes on from where it came.
func (r *run) guarded(do func()) {
	ended := false
	defer func() {
		if !ended {
			r.opts.Panicking()
		}
	}()
	do()
	ended = true
}

// failure returns the first error that is not a reason to end in order.
func failure(errs []error) error {
	for _, err := range errs {
		switch {
		case err == nil, errors.Is(err, errTime), errors.Is(err, errExecs), errors.Is(err, errFinding),
			errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		default:
			return err
		}
	}
	return nil
}

func (r *run) progress(ctx context.Context) {
	ticker := time.NewTicker(r.opts.ProgressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.opts.Progress(r.stats())
		case <-ctx.Done():
			return
		}
	}
}

// claim takes up to n executions from the limit and returns how many are granted;
// 0 means that the run is over.
func (r *run) claim(n uint64) uint64 {
	limit := r.opts.Execs
	if limit == 0 {
		return n
	}
	for {
		claimed := r.execs.Load()
		if claimed >= limit {
			return 0
		}
		granted := min(n, limit-claimed)
		if r.execs.CompareAndSwap(claimed, claimed+granted) {
			return granted
		}
	}
}

// spend counts executions against the limit, beyond it where need be.
func (r *run) spend(n uint64) {
	if r.opts.Execs != 0 {
		r.execs.Add(n)
	}
}

// exhausted reports whether all executions have been claimed.
func (r *run) exhausted() bool { return r.opts.Execs != 0 && r.execs.Load() >= r.opts.Execs }

// seeding reports whether seeds, and what was in flight before, are still being tried.
func (r *run) seeding() bool {
	select {
	case <-r.seeded:
		return false
	default:
		return true
	}
}

func (r *run) elapsed() time.Duration { return time.Since(r.started) }

// unclaim gives back executions that were claimed and did not take place.
func (r *run) unclaim(n uint64) { r.spend(-n) }

func (r *run) stats() Stats {
	snapshot := r.corpus.Snapshot()
	s := Stats{
		Elapsed: r.elapsed(), Workers: r.opts.Workers, Seed: r.opts.Seed,
		Edges: r.target.Table().Count(snapshot.Seen()), Total: r.target.Table().Observable(),
		Corpus: int(r.keeper.kept.Load()), Found: int(r.found.Load()), Findings: r.findings.len(),
	}
	s.Further = len(snapshot.Entries()) - len(covering(snapshot))
	s.Newest = s.Elapsed - time.Duration(r.newest.Load())
	for _, w := range r.workers {
		s.Execs += w.execs.Load()
		s.Failing += w.failing.Load()
		s.Unconfirmed += w.unconfirmed.Load()
		s.Solved += w.solved.Load()
	}
	r.mu.Lock()
	s.Executor, s.Stability = r.executor, stability(r.unstable, snapshot.Seen())
	r.mu.Unlock()
	return s
}

func stability(unstable, seen []byte) float64 {
	covered, same := 0, 0
	for i, b := range seen {
		if b != 0 {
			covered++
			if unstable[i] == 0 {
				same++
			}
		}
	}
	if covered == 0 {
		return 1
	}
	return float64(same) / float64(covered)
}

func (r *run) result() *Result {
	return &Result{Stats: r.stats(), Findings: r.findings.list(), Entries: covering(r.corpus.Snapshot())}
}

// covering returns the entries without those that are kept for further features alone.
func covering(s *corpus.Snapshot) []*corpus.Entry {
	return slices.DeleteFunc(slices.Clone(s.Entries()), func(e *corpus.Entry) bool { return e.Extra })
}
