package fuzz

import (
	"sync"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Gain is a new corpus entry that passes edges which no entry before it passed.
type Gain struct {
	// Edges is how many these are, at least 1; First is the first of them in the order of
	// the code.
	Edges int
	First *cover.Edge
}

// gains tells what each new corpus entry adds to the edges of those before it.
type gains struct {
	gained func(Gain)
	table  *cover.Table

	mu     sync.Mutex
	passed []bool // edges of the table
	has    []bool // of the entry at hand
}

// newGains returns nil where nobody wants to know.
func newGains(table *cover.Table, gained func(Gain)) *gains {
	if gained == nil {
		return nil
	}
	return &gains{gained: gained, table: table, passed: make([]bool, len(table.Edges))}
}

// entry tells of a new entry. What seeds pass is no gain.
func (g *gains) entry(e *corpus.Entry, seed bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.has = g.table.Expand(g.has, e.Cover)
	var gain Gain
	for i, hit := range g.has {
		if !hit || g.passed[i] {
			continue
		}
		g.passed[i] = true
		if gain.Edges++; gain.First == nil {
			gain.First = &g.table.Edges[i]
		}
	}
	if gain.Edges > 0 && !seed {
		g.gained(gain)
	}
}
