package bpf

import (
	"errors"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// counters are those of a call that is profiled; none for another.
type counters struct {
	open   []*kernel.Counter // nil where the machine has none
	result []Counter
}

func openCounters(r *RawRun) *counters {
	c := &counters{}
	if !r.Profile {
		return c
	}
	for _, e := range kernel.CounterEvents() {
		counter, err := kernel.OpenCounter(e)
		c.open = append(c.open, counter)
		c.result = append(c.result, Counter{Name: e.Name, Err: err})
	}
	for i, counter := range c.open { // after all are open: opening takes long
		if counter != nil {
			c.result[i].Err = counter.Start()
		}
	}
	return c
}

// read ends counting and returns the counts for each of so many runs. It includes
// what the system call takes, which repeating spreads.
func (c *counters) read(runs uint32) []Counter {
	for i, counter := range c.open {
		if counter == nil {
			continue
		}
		n, err := counter.Stop()
		c.result[i].PerRun = float64(n) / float64(runs)
		c.result[i].Err = errors.Join(c.result[i].Err, err, counter.Close())
	}
	return c.result
}
