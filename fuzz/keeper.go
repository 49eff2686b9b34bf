package fuzz

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// keeper stores corpus entries off the workers' path: stable storage is slow.
type keeper struct {
	keep func(...*corpus.Input) error
	kept atomic.Int64

	mu      sync.Mutex
	pending []*corpus.Input
	wake    chan struct{}
}

func newKeeper(keep func(...*corpus.Input) error) *keeper {
	return &keeper{keep: keep, wake: make(chan struct{}, 1)}
}

// add hands over an entry and returns at once.
func (k *keeper) add(in *corpus.Input) {
	k.mu.Lock()
	k.pending = append(k.pending, in)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run stores what add hands over until ctx ends, and then what is left.
func (k *keeper) run(ctx context.Context) error {
	for {
		if err := k.flush(); err != nil {
			return err
		}
		select {
		case <-k.wake:
		case <-ctx.Done():
			return k.flush()
		}
	}
}

func (k *keeper) flush() error {
	k.mu.Lock()
	inputs := k.pending
	k.pending = nil
	k.mu.Unlock()
	if len(inputs) == 0 {
		return nil
	}
	if err := k.keep(inputs...); err != nil {
		return err
	}
	k.kept.Add(int64(len(inputs)))
	return nil
}
