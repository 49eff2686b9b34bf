package bpf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// bencher is a Bench under way.
type bencher struct {
	target  *Target
	opts    BenchOptions
	judge   *triage.Judge
	entries []*corpus.Input // what the short run kept
	steps   []corpus.Step   // that are run where nothing is mutated, by size
	ways    []*benchWay
	report  *BenchReport
}

// benchWay is what becomes a row: threads that work together, or a whole loop.
type benchWay struct {
	row     BenchRow
	threads []*benchThread
	loop    *benchLoop
	samples []sample // by run
}

// open sets up everything that is measured.
func (b *bencher) open() error {
	if !b.target.callable() {
		b.note("not measured: a bare call: BPF_PROG_RUN does not run programs of type %s", b.target.shape.Type)
	}
	for i, size := range b.opts.Sizes {
		if err := b.openSize(i, size); err != nil {
			return err
		}
	}
	return b.openLoops()
}

// openSize sets up what runs packets of one size: of the first size with all workers
// as well.
func (b *bencher) openSize(i, size int) error {
	step := &b.steps[i]
	t := b.target.bounded(size, 0)
	if t.callable() {
		if err := b.add(BenchRow{Way: BenchCall, Size: size}, i == 0, t.workCall(step)); err != nil {
			return err
		}
		if err := b.add(BenchRow{Way: BenchInstrumented, Size: size}, false, t.workInstrumented(step)); err != nil {
			return err
		}
	}
	if err := b.add(BenchRow{Way: BenchSingle, Size: size}, i == 0, t.workSingle(step)); err != nil {
		return err
	}
	if !b.batches(t) {
		return nil
	}
	for _, n := range b.opts.Slots {
		t := b.target.bounded(size, n)
		if err := b.add(BenchRow{Way: BenchBatch, Size: size}, i == 0 && n == b.usual(), t.workBatch(step, nil)); err != nil {
			return err
		}
	}
	if i > 0 {
		return nil
	}
	return b.add(BenchRow{Way: BenchJudged, Size: size}, false, b.target.bounded(size, b.usual()).workBatch(step, b.judge))
}

// usual is the number of slots that is measured with all workers and oracles: that
// which a run uses where it is among those to measure.
func (b *bencher) usual() int {
	if slices.Contains(b.opts.Slots, batchSlots) {
		return batchSlots
	}
	return b.opts.Slots[0]
}

// batches reports whether there can be any, and notes once why there are none.
func (b *bencher) batches(t *Target) bool {
	if t.row.trigger != nil {
		b.note("not measured: batches: events are caused one by one")
		return false
	}
	w, err := startThread(0, t.workBatch(&corpus.Step{}, nil))
	if err == nil {
		err = w.close()
	}
	if err != nil {
		why, _, _ := strings.Cut(err.Error(), "\n")
		b.note("not measured: %s", why)
		return false
	}
	return true
}

// note says once what is not measured and why.
func (b *bencher) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.report.Notes, text) {
		b.report.Notes = append(b.report.Notes, text)
	}
}

// add sets up one row, and the same with all workers.
func (b *bencher) add(row BenchRow, all bool, open opener) error {
	for _, workers := range b.crews(all) {
		way := &benchWay{row: row}
		way.row.Workers = workers
		b.ways = append(b.ways, way)
		for worker := range workers {
			t, err := startThread(worker, open)
			if err != nil {
				return fmt.Errorf("setting up what is measured: %w", err)
			}
			way.threads = append(way.threads, t)
		}
		way.row.Executor = way.threads[0].work.executor
		if way.row.Executor == executorBatch {
			way.row.Slots = way.threads[0].work.slots
		}
	}
	return nil
}

// crews returns how many workers there are in the rows of one way.
func (b *bencher) crews(all bool) []int {
	if all && b.opts.Workers > 1 {
		return []int{1, b.opts.Workers}
	}
	return []int{1}
}

// round measures everything once.
func (b *bencher) round(ctx context.Context) error {
	for _, way := range b.ways {
		s := way.measure(ctx, b.opts)
		if s.err != nil {
			return fmt.Errorf("measuring: %w", s.err)
		}
		way.samples = append(way.samples, s)
	}
	return nil
}

func (w *benchWay) measure(ctx context.Context, opts BenchOptions) (all sample) {
	if w.loop != nil {
		return w.loop.measure(ctx)
	}
	for _, t := range w.threads {
		t.order <- benchOrder{ctx, opts.Duration}
	}
	for _, t := range w.threads {
		s := <-t.done
		all.execs += s.execs
		all.cpu += s.cpu
		all.wall = max(all.wall, s.wall)
		all.err = errors.Join(all.err, s.err)
	}
	return all
}

// close gives everything back.
func (b *bencher) close() (err error) {
	for _, way := range b.ways {
		for _, t := range way.threads {
			err = errors.Join(err, t.close())
		}
	}
	return err
}
