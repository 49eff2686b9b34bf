package bpf

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// benchLoop is the fuzzer, which is started anew for each measurement, from the
// inputs that the short run kept.
type benchLoop struct {
	target *Target
	opts   fuzz.Options
	long   time.Duration
}

// openLoops sets up the whole loop with packets of the first size, and of any length.
func (b *bencher) openLoops() error {
	sizes := []int{0}
	if first := b.opts.Sizes[0]; first > 0 {
		sizes = []int{first, 0}
	}
	for _, size := range sizes {
		if err := b.addLoop(b.target.bounded(size, 0), size); err != nil {
			return err
		}
	}
	return nil
}

func (b *bencher) addLoop(t *Target, size int) error {
	row := BenchRow{Way: BenchLoop, Size: size}
	err := t.withExecutor(func(e fuzz.Executor) error {
		if row.Executor = executorName(e); row.Executor == executorBatch {
			row.Slots = e.Batch().Cap()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, workers := range b.crews(true) {
		row.Workers = workers
		b.ways = append(b.ways, &benchWay{row: row, loop: &benchLoop{target: t, long: b.opts.Duration, opts: fuzz.Options{
			Workers: workers, Seed: b.opts.Seed, Seeds: t.conforming(b.entries), Judge: b.judge,
			Triage: triage.Options{Program: t.program, Table: t.table, Shape: t.shape},
		}}})
	}
	return nil
}

// conforming returns the inputs as far as the target takes them whole, or cut.
func (t *Target) conforming(inputs []*corpus.Input) []*corpus.Input {
	var all []*corpus.Input
	for _, in := range inputs {
		in = in.Clone()
		mutate.Conform(t.shape, in)
		if t.shape.Check(in) == nil {
			all = append(all, in)
		}
	}
	return all
}

func (l *benchLoop) measure(ctx context.Context) sample {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g := &gauge{Target: l.target, stop: stop, workers: l.opts.Workers, long: l.long, warm: l.long / 4}
	_, err := fuzz.Run(ctx, g, l.opts)
	switch {
	case err != nil:
		return sample{err: err}
	case !g.over:
		return sample{err: context.Cause(ctx)} // interrupted
	}
	return g.sample
}

// gauge is a target whose executors note what all threads of the process use between
// two batches: the first after all workers have been at it for a while, and the last.
type gauge struct {
	*Target
	stop       func()
	workers    int
	warm, long time.Duration

	mu      sync.Mutex
	running int
	started time.Time // when the last worker had run its first batch
	began   time.Time // when counting began
	sample  sample
	over    bool
}

// NewExecutor implements fuzz.Target.
func (g *gauge) NewExecutor(worker int) (fuzz.Executor, error) {
	e, err := g.Target.NewExecutor(worker)
	if err != nil {
		return nil, err
	}
	return &gauged{Executor: e, gauge: g}, nil
}

// gauged is an executor that tells its gauge of every batch.
type gauged struct {
	fuzz.Executor
	gauge *gauge
	runs  bool
}

// Run implements fuzz.Executor.
func (e *gauged) Run(ctx context.Context) error {
	if err := e.Executor.Run(ctx); err != nil {
		return err
	}
	first := !e.runs
	e.runs = true
	return e.gauge.ran(len(e.Batch().Slots()), first)
}

// ran counts a batch, and begins and ends counting.
func (g *gauge) ran(execs int, first bool) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case first:
		if g.running++; g.running == g.workers {
			g.started = now
		}
	case g.over || g.running < g.workers:
	case g.began.IsZero():
		if now.Sub(g.started) >= g.warm {
			g.began = now
			g.sample.cpu, err = cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
		}
	default:
		g.sample.execs += uint64(execs)
		if g.sample.wall = now.Sub(g.began); g.sample.wall >= g.long {
			err = g.end()
		}
	}
	return err
}

func (g *gauge) end() error {
	used, err := cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	g.sample.cpu = used - g.sample.cpu
	g.over = true
	g.stop()
	return err
}
