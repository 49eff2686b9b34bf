package instrument

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Executed is how many instructions of a function's lines runs executed.
type Executed struct {
	Func string
	Pos  cover.Pos // zero where the object has no lines
	// Instructions counts each as often as it was executed; one of two slots is one.
	Instructions uint64
}

// Counts reports whether instructions can be counted at a rung, which then has counters.
func (p *Plan) Counts(rung Rung) bool { return rung.loops() && len(p.edges) > 0 }

// Executed calls visit with what was executed since the value of the Count variant was
// cleared, line by line in the order of the code, those without any left out. A block
// counts as a whole: where a call does not come back, such as a tail call that is taken,
// what follows it in its block counts as well. Exact is false where the kernel's registers
// did not suffice to count all edges: then there may have been more.
func (p *Plan) Executed(l *Layout, value []byte, visit func(Executed)) (exact bool) {
	passed := make(map[int]uint64, len(l.CellEdges))
	for n, edge := range l.CellEdges {
		passed[edge] = uint64(binary.NativeEndian.Uint32(value[l.Cells+4*n:]))
	}
	exact = true
	for _, fn := range p.funcs {
		t := p.newTally(fn, passed)
		fn.eachLine(t.times, visit)
		exact = exact && !t.short
	}
	return exact
}

// eachLine visits the lines of a function whose blocks were executed so often.
func (fn *function) eachLine(times func(block int) uint64, visit func(Executed)) {
	where := positions(fn.Func)
	for b := range fn.Blocks {
		block := &fn.Blocks[b]
		if !block.Reachable {
			continue
		}
		n := times(b)
		for i := block.First; n > 0 && i < block.End; {
			first := i
			for i < block.End && where[i] == where[first] {
				i++
			}
			visit(Executed{Func: fn.label, Pos: where[first], Instructions: n * uint64(i-first)})
		}
	}
}

// tally finds out how often the blocks of a function were executed, from the edges that
// are counted: an edge that is not is the only way out of its block.
type tally struct {
	fn *function
	// in holds for each block the ways in.
	in     [][]inEdge
	passed map[int]uint64
	known  []uint64 // by block: how often, plus 1; 0 while that is not known
	short  bool     // an edge has no counter
}

// inEdge is an edge into a block.
type inEdge struct {
	edge    int // in the plan, -1 for one that is not observed
	from    int // the block, -1 for the entry
	sibling int // the other way out of that block, -1 for none
}

func (p *Plan) newTally(fn *function, passed map[int]uint64) *tally {
	t := &tally{fn: fn, passed: passed, in: make([][]inEdge, len(fn.Blocks)), known: make([]uint64, len(fn.Blocks))}
	type exit struct {
		from  int
		taken bool
	}
	observed := map[exit]int{}
	for _, i := range fn.edges {
		e := &p.edges[i].flow
		observed[exit{e.From, e.Taken}] = i
	}
	find := func(from int, taken bool) int {
		if i, ok := observed[exit{from, taken}]; ok {
			return i
		}
		return -1
	}
	for _, e := range fn.Edges() {
		w := inEdge{edge: find(e.From, e.Taken), from: -1, sibling: -1}
		if e.From >= 0 {
			w.from = fn.BlockOf[e.From]
		}
		if e.TwoWay {
			w.sibling = find(e.From, !e.Taken)
		}
		to := fn.BlockOf[e.To]
		t.in[to] = append(t.in[to], w)
	}
	return t
}

// times returns how often a block was executed. Every loop has an edge that is observed,
// so this comes to an end: where such an edge has no counter, its passages are left out.
func (t *tally) times(block int) uint64 {
	if t.known[block] == 0 {
		t.known[block] = 1 // where the walk comes back to it
		sum := uint64(0)
		for _, w := range t.in[block] {
			sum += t.along(w)
		}
		t.known[block] = sum + 1
	}
	return t.known[block] - 1
}

// along returns how often a way was gone.
func (t *tally) along(w inEdge) uint64 {
	if n, counted := t.passed[w.edge]; counted {
		return n
	}
	if w.edge < 0 {
		return t.times(w.from)
	}
	other, counted := t.passed[w.sibling]
	if w.from < 0 || !counted {
		t.short = true
		return 0
	}
	if n := t.times(w.from); n > other {
		return n - other
	}
	return 0
}
