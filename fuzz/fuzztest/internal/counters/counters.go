// Package counters shows Go's fuzz engine features that no Go code has: it keeps
// one counter for each edge of the Go code that is built for fuzzing, and this
// package has a piece of code with one edge for each of its cells.
//
// The engine clears all counters before it runs an input and reads them afterwards,
// each rounded down to a power of two, so that a cell has eight levels, of which one
// run shows at most one: 1, 2, 4 and so on to 128.
package counters

//go:generate go run generate.go

// Counters shows features. Its zero value does so in a way that works with every
// version of Go. The methods are for one goroutine at a time.
type Counters struct {
	all   []byte // all counters of the process, nil where they are not known
	cells []byte // those of the cells, nil where they are not known
}

// Open returns Counters that write to the engine's memory, where it can be found.
func Open() *Counters {
	all := region()
	if at, ok := find(all); ok {
		return &Counters{all: all, cells: all[at : at+cells : at+cells]}
	}
	return &Counters{}
}

// Direct reports whether the engine's memory is written to; otherwise each feature
// takes as many calls as its level says.
func (c *Counters) Direct() bool { return c.cells != nil }

// Total returns how many counters the engine reads after each run, 0 where that is
// not known.
func (c *Counters) Total() int { return len(c.all) }

// Forget makes the engine forget which Go code ran since it began with the input,
// where its memory can be found: what it takes to run a program says nothing of the
// program, and differs from run to run.
//
//go:norace
func (c *Counters) Forget() {
	clear(c.all)
}

// Show shows features, one byte each with at most one bit set, from cell first on.
// Those beyond the last cell go to cells that have others already: of two in one cell
// the higher level is seen. It returns the cell behind the last feature.
//
//go:norace
func (c *Counters) Show(first int, features []byte) int {
	for i, level := range features {
		switch cell := (first + i) % cells; {
		case level == 0:
		case c.cells == nil:
			for range level {
				hit(cell)
			}
		default:
			c.cells[cell] |= level
		}
	}
	return first + len(features)
}
