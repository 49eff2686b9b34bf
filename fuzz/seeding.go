package fuzz

import (
	"context"
	"sync/atomic"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
)

const (
	// shareSeeds is how many seeds are enough for all workers. Fewer are tried by the first
	// one, in their order, while the others still get ready.
	shareSeeds = 4096
	// seedBlock is how many of them a worker takes at once.
	seedBlock = 64
)

// seedRow hands seeds out to workers.
type seedRow struct {
	seeds []*corpus.Input
	taken atomic.Int64
	done  atomic.Int64
	tried chan struct{} // closed when all are done
}

func newSeedRow(seeds []*corpus.Input) *seedRow {
	return &seedRow{seeds: seeds, tried: make(chan struct{})}
}

// shared reports whether all workers are to try seeds.
func (r *seedRow) shared() bool { return len(r.seeds) >= shareSeeds }

// next returns seeds that nobody has tried, none when there are no more. Whoever takes some
// hands them back to finish, whatever came of them.
func (r *seedRow) next() []*corpus.Input {
	n := len(r.seeds)
	begin := min(int(r.taken.Add(seedBlock))-seedBlock, n)
	return r.seeds[begin:min(begin+seedBlock, n)]
}

func (r *seedRow) finish(block []*corpus.Input) {
	if r.done.Add(int64(len(block))) == int64(len(r.seeds)) {
		close(r.tried)
	}
}

// start tries the seeds, and then what every run begins with. What the shape suggests, and
// what was in flight before, is for the first worker.
func (w *worker) start(ctx context.Context) error {
	row := w.run.seeds
	if w.index != 0 {
		if row.shared() {
			if err := w.trySeeds(ctx, row); err != nil {
				return err
			}
		}
		select {
		case <-w.run.seeded:
		case <-ctx.Done():
		}
		if w.run.corpus.Snapshot().Len() == 0 {
			return errExecs // the first worker has ended before there was anything
		}
		return nil
	}
	defer close(w.run.seeded)
	w.run.mu.Lock()
	w.run.executor = w.describe()
	w.run.mu.Unlock()
	if err := w.trySeeds(ctx, row); err != nil {
		return err
	}
	if len(row.seeds) > 0 {
		select {
		case <-row.tried:
		case <-ctx.Done():
			return nil
		}
	}
	if err := w.tryAll(ctx, mutate.Seeds(w.run.target.Shape())); err != nil {
		return err
	}
	if err := w.forceOne(); err != nil {
		return err
	}
	return w.resume(ctx)
}

// trySeeds tries seeds until there are no more.
func (w *worker) trySeeds(ctx context.Context, row *seedRow) error {
	for {
		block := row.next()
		if len(block) == 0 {
			return nil
		}
		err := w.tryAll(ctx, block)
		row.finish(block)
		if err != nil {
			return err
		}
	}
}

func (w *worker) tryAll(ctx context.Context, inputs []*corpus.Input) error {
	for _, in := range inputs {
		if ctx.Err() != nil {
			return nil
		}
		if err := w.try(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// forceOne keeps an input whatever it covers where nothing covers anything.
func (w *worker) forceOne() error {
	if w.run.corpus.Snapshot().Len() > 0 {
		return nil
	}
	in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, w.run.target.Shape().Packet.Min)}}}
	entry := w.run.corpus.Force(in, make([]byte, len(w.seen.Bytes())))
	if err := w.announce(entry); err != nil {
		return err
	}
	w.solve.entry(entry.Input)
	return nil
}
