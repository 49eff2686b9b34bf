package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Names of the oracles about how full maps are.
const (
	MapFull = "map-full"
	MapLeak = "map-leak"
)

// fillError is the failure of a map, whatever way led to it.
type fillError struct{ name, text string }

func (e *fillError) Error() string { return e.text }

// site implements sited.
func (e *fillError) site() string { return fmt.Sprintf("map %q", e.name) }

// fills reports whether there are maps that get full.
func fills(shape *corpus.Shape) bool {
	for i := range shape.Maps {
		if shape.Maps[i].MaxEntries > 0 {
			return true
		}
	}
	return false
}

// newMapFull objects to inputs that alone fill a map up that had room.
func newMapFull(*corpus.Shape) Oracle {
	return Oracle{
		Name: MapFull, Need: corpus.HaveFill, When: Sampled,
		Judge: func(in *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Fill {
				if f := &out.Fill[i]; f.Start < f.Max && f.Entries >= f.Max {
					return &fillError{f.Map, fmt.Sprintf("map %s has %d of %d entries after %s, it had %d: the next new one finds no room",
						f.Map, f.Entries, f.Max, packets(len(in.Steps)), f.Start)}
				}
			}
			return nil
		},
	}
}

// leakTimes is how often an input is repeated to find out whether entries pile up. Tables
// that learn do so for a packet or two; eight times is no learning any more.
const leakTimes = 8

// newMapLeak objects to inputs that leave another entry behind each time that they are
// repeated, without anything else in between.
func newMapLeak(*corpus.Shape) Relation {
	return Relation{
		Name: MapLeak, Need: corpus.HaveFill, When: Sampled,
		Twin: func(dst, src *corpus.Input, out *corpus.Outcome) bool {
			if !grew(out) {
				return false
			}
			dst.Maps = src.Maps
			for range leakTimes {
				dst.Steps = append(dst.Steps, src.Steps...)
			}
			return true
		},
		Judge: func(once, repeated *corpus.Outcome) error {
			for i := range min(len(once.Fill), len(repeated.Fill)) {
				a, b := &once.Fill[i], &repeated.Fill[i]
				if more := b.Entries - a.Entries; a.Entries > a.Start && more >= leakTimes-1 {
					return &fillError{a.Map, fmt.Sprintf("map %s has %d entries more after the input and %d after the same input %d times: one is left behind each time",
						a.Map, a.Entries-a.Start, b.Entries-b.Start, leakTimes)}
				}
			}
			return nil
		},
	}
}

// grew reports whether some map has more entries than before.
func grew(out *corpus.Outcome) bool {
	for i := range out.Fill {
		if out.Fill[i].Entries > out.Fill[i].Start {
			return true
		}
	}
	return false
}

func packets(n int) string {
	if n == 1 {
		return "one packet"
	}
	return fmt.Sprintf("%d packets", n)
}
