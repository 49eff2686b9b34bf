package fuzz

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// pairExecutor runs inputs in both programs. The new one's executor has a goroutine of its
// own, since executors lock theirs to a thread that they change.
type pairExecutor struct {
	pair  *Pair
	was   Executor
	now   *remote
	batch *Batch // of the old one
	cover []byte
	union []byte // what a batch of the new one covers
	out   corpus.Outcome
	room  scratch
}

// remote is an executor on a goroutine of its own.
type remote struct {
	exec  Executor
	calls chan func()
}

// newRemote makes the executor, and ends its goroutine where that fails.
func newRemote(target Target, worker int) (*remote, error) {
	r := &remote{calls: make(chan func())}
	made := make(chan error)
	go func() {
		var err error
		r.exec, err = target.NewExecutor(worker)
		made <- err
		if err != nil {
			return
		}
		for call := range r.calls {
			call()
		}
	}()
	return r, <-made
}

// start has call run on the executor's goroutine; the channel has its error once it is
// done.
func (r *remote) start(call func(Executor) error) <-chan error {
	done := make(chan error, 1)
	r.calls <- func() { done <- call(r.exec) }
	return done
}

func (r *remote) do(call func(Executor) error) error { return <-r.start(call) }

// NewExecutor implements Target.
func (p *Pair) NewExecutor(worker int) (Executor, error) {
	was, err := p.was.NewExecutor(worker)
	if err != nil {
		return nil, fmt.Errorf("the old program: %w", err)
	}
	now, err := newRemote(p.now, worker)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the new program: %w", err), was.Close())
	}
	return &pairExecutor{
		pair: p, was: was, now: now, batch: was.Batch(),
		cover: make([]byte, p.table.Len()), union: make([]byte, p.now.Table().Len()),
	}, nil
}

// Describe implements Executor.
func (e *pairExecutor) Describe() string {
	var now string
	_ = e.now.do(func(x Executor) error { now = x.Describe(); return nil })
	if was := e.was.Describe(); was != now {
		return "old " + was + "; new " + now
	}
	return "both " + now
}

// Batch implements Executor.
func (e *pairExecutor) Batch() *Batch { return e.batch }

// Cover implements Executor.
func (e *pairExecutor) Cover() []byte { return e.cover }

// Run implements Executor.
func (e *pairExecutor) Run(ctx context.Context) error {
	clear(e.union)
	next, err := e.fill(0)
	if err != nil {
		return err
	}
	done := e.now.start(func(x Executor) error { return x.Run(ctx) })
	err = e.was.Run(ctx)
	if err = errors.Join(err, <-done); err != nil {
		return err
	}
	e.compare(0, next)
	for next < e.batch.Len() {
		first := next
		if next, err = e.fill(first); err != nil {
			return err
		}
		if err := e.now.do(func(x Executor) error { return x.Run(ctx) }); err != nil {
			return err
		}
		e.compare(first, next)
	}
	e.pair.join(e.cover, e.was.Cover(), e.union)
	return nil
}

// fill copies inputs to the new program's batch, from the first on, as many as it holds.
func (e *pairExecutor) fill(first int) (next int, err error) {
	next = first
	err = e.now.do(func(x Executor) error {
		batch := x.Batch()
		for batch.Reset(); next < e.batch.Len(); next++ {
			in, src := batch.Next(), e.batch.Input(next)
			if in == nil {
				break
			}
			if in.CopyFrom(src); len(in.Steps) < len(src.Steps) {
				return fmt.Errorf("an input of %d steps does not fit the new program's batch", len(src.Steps))
			}
			batch.Commit()
		}
		return nil
	})
	if err == nil && next == first && first < e.batch.Len() {
		err = errors.New("no input fits the new program's batch")
	}
	return next, err
}

// compare notes where the outcomes of inputs [first, next) differ.
func (e *pairExecutor) compare(first, next int) {
	batch := e.now.exec.Batch()
	for i := first; i < next; i++ {
		e.pair.differ(e.batch.Input(i), e.batch.Outcome(i), batch.Outcome(i-first), corpus.HaveRet|corpus.HavePacket, &e.room)
	}
	for i, v := range e.now.exec.Cover()[:len(e.union)] {
		e.union[i] |= v
	}
}

// Alone implements Executor.
func (e *pairExecutor) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	want |= corpus.HaveCover
	var now *corpus.Outcome
	done := e.now.start(func(x Executor) (err error) {
		now, err = x.Alone(ctx, in, want&^corpus.HaveTrace)
		return err
	})
	was, err := e.was.Alone(ctx, in, want)
	if err = errors.Join(err, <-done); err != nil {
		return nil, err
	}
	e.out = *was
	e.out.Events = append([]corpus.Event(nil), was.Events...)
	e.out.Cover = make([]byte, len(e.cover))
	e.pair.join(e.out.Cover, was.Cover, now.Cover)
	e.pair.differ(in, &e.out, now, want, &e.room)
	if want&corpus.HaveMaps != 0 {
		err = e.now.do(func(Executor) error { return e.pair.differInMaps(&e.out, now) })
	}
	return &e.out, err
}

// Compare implements Comparer, as far as both executors do.
func (e *pairExecutor) Compare(ctx context.Context, in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error) {
	if c, ok := e.was.(Comparer); ok {
		var err error
		if dst, err = c.Compare(ctx, in, dst); err != nil {
			return dst, err
		}
	}
	own := len(dst)
	err := e.now.do(func(x Executor) (err error) {
		if c, ok := x.(Comparer); ok {
			dst, err = c.Compare(ctx, in, dst)
		}
		return err
	})
	for i := own; i < len(dst); i++ {
		dst[i].Site += len(e.pair.was.Table().Comparisons)
	}
	return dst, err
}

// Keys implements KeyLogger.
func (e *pairExecutor) Keys(dst []cover.Lookup) []cover.Lookup {
	if k, ok := e.was.(KeyLogger); ok {
		dst = k.Keys(dst)
	}
	_ = e.now.do(func(x Executor) error {
		if k, ok := x.(KeyLogger); ok {
			dst = k.Keys(dst)
		}
		return nil
	})
	return dst
}

// Recreate implements Executor.
func (e *pairExecutor) Recreate(ctx context.Context) error {
	return errors.Join(e.was.Recreate(ctx), e.now.do(func(x Executor) error { return x.Recreate(ctx) }))
}

// Close implements Executor.
func (e *pairExecutor) Close() error {
	err := e.now.do(func(x Executor) error { return x.Close() })
	close(e.now.calls)
	return errors.Join(e.was.Close(), err)
}
