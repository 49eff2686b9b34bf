package bpf

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// machine is what a program runs in: the processors, and what there is in a
// worker's network namespace besides lo. The zero value, like nil, has nothing.
type machine struct {
	cpus int
	// last is the largest index of an interface, queues how many receive queues
	// those behind lo have.
	last, queues int
}

func (m *machine) lastIndex() uint64 {
	if m == nil || m.last == 0 {
		return lo
	}
	return uint64(m.last)
}

// enter moves the calling goroutine to a thread with a network namespace of its own
// (see kernel.Isolate), with the interfaces that the target's inputs may name.
func (t *Target) enter(worker int) error {
	if err := kernel.Isolate(worker); err != nil {
		return err
	}
	if t.machine.last == 0 {
		return nil
	}
	pair, err := kernel.AddPair()
	if err != nil {
		return err
	}
	if pair.Last != t.machine.last {
		return fmt.Errorf("the interfaces of a private network namespace have indices %d and %d, not up to %d as when the target was made", pair.First, pair.Last, t.machine.last)
	}
	return nil
}

// addNetwork finds out what interfaces enter can add.
func (m *machine) addNetwork() {
	_ = kernel.Isolated(0, func() error {
		if pair, err := kernel.AddPair(); err == nil && pair.First == lo+1 {
			m.last, m.queues = pair.Last, kernel.Queues
		}
		return nil // without interfaces there is lo
	})
}
