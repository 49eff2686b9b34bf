package fuzz

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// mergeBlock is a row of inputs that one worker runs, and what came of it.
type mergeBlock struct {
	number     int // from 0 in the order of the inputs
	inputs     []*corpus.Input
	candidates []cover.Candidate
	bytes      int64 // of the inputs' payload
}

const (
	// mergeBlockLen is how many inputs there are in a block: enough that handing it over
	// costs nothing.
	mergeBlockLen = 64
	// mergeAhead is how many blocks there are for each worker, read ahead or waiting for an
	// earlier one.
	mergeAhead = 4
)

// run has workers run all inputs, and takes the results in the inputs' order.
func (m *merger) run(ctx context.Context, inputs iter.Seq[*corpus.Input]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work, done := make(chan *mergeBlock), make(chan *mergeBlock)
	ahead := make(chan struct{}, mergeAhead*m.opts.Workers)
	var others sync.WaitGroup
	others.Go(func() {
		defer close(work)
		for block := range blocks(inputs) {
			select {
			case ahead <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case work <- block:
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range m.opts.Workers {
		others.Go(func() {
			err := withMergeWorker(m.target, i, func(w *mergeWorker) error { return w.work(ctx, work, done) })
			if err != nil {
				cancel(err)
			}
		})
	}
	go func() {
		others.Wait()
		close(done)
	}()
	waiting := map[int]*mergeBlock{}
	next := 0
	for block := range done {
		for waiting[block.number] = block; waiting[next] != nil; next++ {
			m.take(waiting[next])
			delete(waiting, next)
			<-ahead
		}
	}
	return context.Cause(ctx)
}

// blocks cuts inputs into blocks.
func blocks(inputs iter.Seq[*corpus.Input]) iter.Seq[*mergeBlock] {
	return func(yield func(*mergeBlock) bool) {
		block := &mergeBlock{}
		for in := range inputs {
			block.inputs = append(block.inputs, in)
			if len(block.inputs) < mergeBlockLen {
				continue
			}
			if !yield(block) {
				return
			}
			block = &mergeBlock{number: block.number + 1}
		}
		if len(block.inputs) > 0 {
			yield(block)
		}
	}
}

// mergeWorker runs inputs on an executor of its own.
type mergeWorker struct {
	target   Target
	exec     Executor
	comparer Comparer // nil where the executor is none
	profiler *cover.Profiler
	compared []cover.Compared
	used     bool // the executor has run something
	lasting  bool // and what it left cannot be put back

	// cheapest has, by the profile of one run, the best input whose other run had the
	// same: another one that is worse need not run again.
	cheapest map[cover.Profile]cover.Candidate
	bytes    int // of cheapest
}

// maxCheapest bounds the bytes of what a worker remembers.
const maxCheapest = 8 << 20

// withMergeWorker calls do with a new worker. The goroutine must not be used for anything
// else: the executor may lock it to its thread.
func withMergeWorker(target Target, index int, do func(*mergeWorker) error) error {
	exec, err := target.NewExecutor(index)
	if err != nil {
		return fmt.Errorf("starting worker %d: %w", index, err)
	}
	w := &mergeWorker{target: target, exec: exec, profiler: cover.NewProfiler(target.Table()), lasting: len(target.Shape().Lasts()) > 0}
	w.comparer, _ = exec.(Comparer)
	err = do(w)
	if closeErr := exec.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the executor of worker %d: %w", index, closeErr))
	}
	return err
}

// work runs blocks until there are no more.
func (w *mergeWorker) work(ctx context.Context, blocks <-chan *mergeBlock, done chan<- *mergeBlock) error {
	for block := range blocks {
		for i, in := range block.inputs {
			if err := w.add(ctx, block, in); err != nil {
				return fmt.Errorf("running input %d: %w", block.number*mergeBlockLen+i, err)
			}
		}
		select {
		case done <- block:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// add runs an input twice and adds it to the candidates of its block, unless another one
// is known to be better in every respect.
func (w *mergeWorker) add(ctx context.Context, block *mergeBlock, in *corpus.Input) error {
	if err := w.target.Shape().Check(in); err != nil {
		return err
	}
	block.bytes += int64(in.Len())
	c := cover.Candidate{Data: corpus.Encode(in)}
	c.Size = uint64(len(c.Data)) * uint64(max(len(in.Steps), 1))
	first, work, err := w.once(ctx, in)
	if err != nil {
		return err
	}
	c.Profile, c.Work = first, work
	if known, ok := w.cheapest[first]; ok && !c.Better(&known) {
		return nil
	}
	if c.Profile, err = w.another(ctx, in); err != nil {
		return err
	}
	block.candidates = append(block.candidates, c)
	if c.Profile == first {
		w.remember(c)
	}
	return nil
}

func (w *mergeWorker) remember(c cover.Candidate) {
	if w.bytes += len(c.Data) + len(c.Profile); w.cheapest == nil || w.bytes > maxCheapest {
		w.cheapest, w.bytes = map[cover.Profile]cover.Candidate{}, len(c.Data)+len(c.Profile)
	}
	w.cheapest[c.Profile] = c
}

// once runs an input and returns its profile, and how much it did.
func (w *mergeWorker) once(ctx context.Context, in *corpus.Input) (cover.Profile, uint64, error) {
	w.profiler.Reset()
	work, err := w.run(ctx, in)
	return w.profiler.Profile(), work, err
}

// another runs the last input once more and returns the profile of all its runs.
func (w *mergeWorker) another(ctx context.Context, in *corpus.Input) (cover.Profile, error) {
	_, err := w.run(ctx, in)
	return w.profiler.Profile(), err
}

// run adds a run of an input to the profiler and returns how much it did.
func (w *mergeWorker) run(ctx context.Context, in *corpus.Input) (work uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	w.compared = w.compared[:0]
	if w.comparer != nil {
		if err := w.renew(ctx); err != nil {
			return 0, err
		}
		if w.compared, err = w.comparer.Compare(ctx, in, w.compared); err != nil {
			return 0, fmt.Errorf("seeing what it compares: %w", err)
		}
	}
	if err := w.renew(ctx); err != nil {
		return 0, err
	}
	out, err := w.exec.Alone(ctx, in, corpus.HaveCover)
	if err != nil {
		return 0, err
	}
	w.profiler.Add(out.Cover, w.compared)
	return w.target.Table().Work(out.Cover), nil
}

// renew makes programs and maps anew where a run leaves what cannot be put back.
func (w *mergeWorker) renew(ctx context.Context) error {
	if !w.lasting {
		return nil
	}
	if !w.used {
		w.used = true
		return nil
	}
	if err := w.exec.Recreate(ctx); err != nil {
		return fmt.Errorf("making programs and maps anew: %w", err)
	}
	return nil
}
