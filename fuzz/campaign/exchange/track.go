package exchange

import "slices"

// track knows up to which message of a topic all were run, though they are run in any order.
type track struct {
	last uint64   // the last message that came
	open []uint64 // those that came and were not run, in order
}

// came notes a message that is to be run.
func (t *track) came(seq uint64) { t.last, t.open = seq, append(t.open, seq) }

// passed notes a message that needs not be run.
func (t *track) passed(seq uint64) { t.last = seq }

// ran notes that a message was run.
func (t *track) ran(seq uint64) {
	if i, ok := slices.BinarySearch(t.open, seq); ok {
		t.open = slices.Delete(t.open, i, i+1)
	}
}

// place returns the number of the last message before which, and with which, all were run.
func (t *track) place() uint64 {
	if len(t.open) > 0 {
		return t.open[0] - 1
	}
	return t.last
}
