package fuzz

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
)

// keeper stores corpus entries off the workers' path: stable storage is slow.
type keeper struct {
	keep    func(...*corpus.Input) error
	journal *journal.Journal
	kept    atomic.Int64

	mu      sync.Mutex
	pending []*corpus.Input
	wake    chan struct{}
}

func newKeeper(opts *Options) *keeper {
	return &keeper{keep: opts.Keep, journal: opts.Journal, wake: make(chan struct{}, 1)}
}

// add hands over an entry and returns at once: until it is stored the journal has it.
func (k *keeper) add(in *corpus.Input) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.journal.Entry(in); err != nil {
		return err
	}
	k.pending = append(k.pending, in)
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return nil
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
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pending) > 0 {
		return nil // the journal has those as well
	}
	return k.journal.Stored()
}
