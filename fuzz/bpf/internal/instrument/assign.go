package instrument

import (
	"fmt"
	"math"

	"github.com/cilium/ebpf/asm"
)

// assignment says what is recorded where, for one rung and variant.
type assignment struct {
	layout  Layout
	reach   int   // where what probes touch ends
	probe   []int // by edge: its hit byte, -1 for none
	via     [][]int
	skipped []string
	loops   []int // edges with counters
	counter map[int]int
	cell    map[int]int
	site    map[useKey]int // index into layout.Sites
	// operands are indices into layout.Operands, by comparison.
	operands map[int]int
	lookups  map[useKey]int // index into layout.Lookups
	scores   map[int]int    // index into layout.Scores, by comparison
}

// useKey names a use of a function.
type useKey struct {
	fn  *function
	use int
}

// siteKey tells sites that mark the same thing.
type siteKey struct {
	mapName  string
	readOnly bool
	kind     SiteKind
	lo, hi   uint32
}

func (p *Plan) assign(rung Rung, variant Variant) *assignment {
	return p.assignWith(rung, variant, None, Ring)
}

// assignBatch is assign for a batch, with scores, of which scored says how many. Sites
// remember about as many keys as a batch uses, so that putting maps back costs what
// was touched.
func (p *Plan) assignBatch(rung, scored Rung, l *BatchLayout) *assignment {
	keys := 0
	for _, fn := range p.funcs {
		for i := range fn.uses {
			if u := &fn.uses[i]; u.keyed && !u.readOnly && u.keySize <= maxKey {
				keys += align(u.keySize)
			}
		}
	}
	ring := min(2*l.Slots, maxRing)
	for ring > Ring && ring*keys > maxRings {
		ring /= 2
	}
	return p.assignWith(rung, Cover, scored, max(ring, Ring))
}

// assignWith is assign with scores and with rings of that many keys, a power of two.
func (p *Plan) assignWith(rung Rung, variant Variant, scored Rung, ring int) *assignment {
	a := &assignment{
		probe: make([]int, len(p.edges)), via: make([][]int, len(p.edges)), skipped: make([]string, len(p.edges)),
		counter: map[int]int{}, cell: map[int]int{}, site: map[useKey]int{}, operands: map[int]int{}, lookups: map[useKey]int{}, scores: map[int]int{},
	}
	switch variant {
	case Trace:
		a.assignCells(p, rung)
	case Compare:
		a.assignOperands(p, rung)
	case Poison:
		for i := range a.probe {
			a.probe[i] = -1
		}
		a.layout.Size = poisonSize
	case Count:
		a.assignCounts(p, rung)
	default:
		a.assignProbes(p, rung)
		a.assignLoops(p, rung)
		a.reach = a.layout.Size
		a.assignScores(p, scored)
	}
	if variant != Cover {
		a.reach = a.layout.Size
	}
	a.assignSites(p, rung, ring)
	switch variant {
	case Compare:
		a.assignLookups(p, rung)
	case Cover:
		a.assignChecks(p)
	}
	a.layout.Size = max(a.layout.Size, 8)
	return a
}

// feasible reports whether n registers can be had on an edge. A pinned base does
// not count where the map value might be too large to be reached from it.
func (p *Plan) feasible(e *edge, accesses []access) bool {
	em := emitter{slots: e.fn.slots}
	pinned := e.fn.pin != asm.R0 && !p.large()
	if pinned {
		em.pin = e.fn.pin
	}
	return em.fits(e.room, registers(accesses, pinned))
}

// large reports whether the map value may be larger than an offset reaches, with
// or without loops, cells and sites.
func (p *Plan) large() bool {
	size := 16 * len(p.edges)
	for _, fn := range p.funcs {
		size += len(fn.uses) * (siteHeader + Ring*maxKey)
	}
	return size > math.MaxInt16
}

const noRoom = "no register and no stack slot is free on this edge"

// assignProbes gives hit bytes to the edges that need and can have one.
func (a *assignment) assignProbes(p *Plan, rung Rung) {
	hit := []access{{do: mark}}
	// An edge is derived from others only when all of those can be observed.
	canProbe := make([]bool, len(p.edges))
	for i := range p.edges {
		canProbe[i] = p.feasible(&p.edges[i], hit)
	}
	// No chain of derivations is longer than the number of edges; they are trees.
	derivable := make([]int8, len(p.edges))
	var observable func(i int) bool
	observable = func(i int) bool {
		if derivable[i] == 0 {
			derivable[i] = -1
			ok := p.edges[i].via != nil
			for _, via := range p.edges[i].via {
				ok = observable(via) && ok
			}
			if ok {
				a.via[i] = p.edges[i].via
			}
			if ok || canProbe[i] {
				derivable[i] = 1
			}
		}
		return derivable[i] == 1
	}
	seen := 0
	for i := range p.edges {
		a.probe[i] = -1
		switch {
		case rung == None:
			a.skipped[i], a.via[i] = rung.String(), nil
		case !observable(i):
			a.skipped[i] = noRoom
		case a.via[i] != nil:
		case seen%rung.sample() != 0:
			seen++
			a.skipped[i] = "left out: " + rung.String()
		default:
			seen++
			a.probe[i] = a.layout.Probes
			a.layout.Probes++
		}
	}
	if rung == None {
		clear(a.via)
	}
	a.dropUnderived(rung)
	a.layout.Size = align(a.layout.Probes)
}

// dropUnderived marks the edges as skipped that are derived from a skipped one.
func (a *assignment) dropUnderived(rung Rung) {
	for changed := true; changed; {
		changed = false
		for i, via := range a.via {
			for _, v := range via {
				if a.skipped[v] != "" {
					a.skipped[i], a.via[i], changed = fmt.Sprintf("derived from an edge that is left out: %s", rung), nil, true
					break
				}
			}
		}
	}
}

// assignLoops gives counters to edges that close a loop.
func (a *assignment) assignLoops(p *Plan, rung Rung) {
	for i := range p.edges {
		e := &p.edges[i]
		if !rung.loops() || !e.flow.Back || a.skipped[i] != "" || !p.feasible(e, []access{{do: count}}) {
			continue
		}
		a.loops = append(a.loops, i)
	}
	a.layout.Loops = len(a.loops)
	a.layout.Counters = align(a.layout.Probes + a.layout.Loops)
	for n, i := range a.loops {
		a.counter[i] = a.layout.Counters + 4*n
	}
	a.layout.Size = align(a.layout.Counters + 4*len(a.loops))
}

// assignCells gives every edge that can have one a cell of its own.
func (a *assignment) assignCells(p *Plan, rung Rung) {
	a.layout.Cells = 4
	seen := 0
	for i := range p.edges {
		a.probe[i] = -1
		if rung == None || !p.feasible(&p.edges[i], []access{{do: stamp}}) {
			continue
		}
		if rung > Marks && p.edges[i].via != nil {
			continue
		}
		if seen++; (seen-1)%rung.sample() != 0 {
			continue
		}
		a.cell[i] = a.layout.Cells + 4*len(a.layout.CellEdges)
		a.layout.CellEdges = append(a.layout.CellEdges, i)
	}
	a.layout.Size = align(a.layout.Cells + 4*len(a.layout.CellEdges))
}

// assignCounts gives every edge that can have one a counter. Where the verifier's budget
// does not allow loop counters it has no room for these either.
func (a *assignment) assignCounts(p *Plan, rung Rung) {
	for i := range p.edges {
		a.probe[i] = -1
		if !rung.loops() || !p.feasible(&p.edges[i], []access{{do: count}}) {
			continue
		}
		a.counter[i] = 4 * len(a.layout.CellEdges)
		a.layout.CellEdges = append(a.layout.CellEdges, i)
	}
	a.layout.Size = align(4 * len(a.layout.CellEdges))
}

// assignSites lists the uses of maps and gives those that need one a cell.
func (a *assignment) assignSites(p *Plan, rung Rung, ring int) {
	shared := map[siteKey]int{}
	for _, fn := range p.funcs {
		for i := range fn.uses {
			u := &fn.uses[i]
			site := Site{
				Map: u.mapName, ReadOnly: u.readOnly, Off: -1, KeySize: u.keySize, Lo: u.lo, Hi: u.hi,
				Func: fn.label, Insn: fn.Offsets[u.insn], Helper: u.helper, Finds: u.source,
			}
			switch {
			case u.keyed && rung.keys() && u.keySize > 0 && u.keySize <= maxKey:
				site.Kind, site.Stride, site.Ring = Keys, align(u.keySize), ring
			case u.ranged:
				site.Kind = Range
			}
			key := siteKey{mapName: site.Map, readOnly: site.ReadOnly, kind: site.Kind, lo: site.Lo, hi: site.Hi}
			if at, ok := shared[key]; ok && site.Kind != Keys {
				a.site[useKey{fn, i}] = at
				continue
			}
			if !site.ReadOnly && rung.sites() {
				site.Off = a.layout.Size
				a.layout.Size += siteHeader + site.Ring*site.Stride
			}
			shared[key] = len(a.layout.Sites)
			a.site[useKey{fn, i}] = len(a.layout.Sites)
			a.layout.Sites = append(a.layout.Sites, site)
		}
	}
}

func (a *assignment) siteOf(fn *function, use int) *Site {
	if at, ok := a.site[useKey{fn, use}]; ok {
		return &a.layout.Sites[at]
	}
	return nil
}

// accesses returns what the probe on edge i does.
func (a *assignment) accesses(i int) []access {
	if off, ok := a.cell[i]; ok {
		return []access{{do: stamp, off: off, from: a.layout.Sequence}}
	}
	var list []access
	if a.probe[i] >= 0 {
		list = append(list, access{do: mark, off: a.probe[i]})
	}
	if off, ok := a.counter[i]; ok {
		list = append(list, access{do: count, off: off})
	}
	return list
}

// pins reports whether a base register pays in fn: from the second probe on.
func (a *assignment) pins(fn *function) bool {
	if fn.pin == asm.R0 {
		return false
	}
	probes := 0
	for _, i := range fn.edges {
		probes += len(a.accesses(i))
	}
	for _, n := range fn.comparisons {
		if a.cellOf(n) != nil {
			probes++
		}
	}
	return probes > 1
}

// base returns the offset in the map value whose address is pinned in fn: the start
// of the value when all of it can be reached from there, else the first thing that
// the function touches.
func (a *assignment) base(fn *function) int {
	if near(a.reach) {
		return 0
	}
	for _, i := range fn.edges {
		if list := a.accesses(i); len(list) > 0 {
			return list[0].off
		}
	}
	for _, n := range fn.comparisons {
		if cell := a.cellOf(n); cell != nil {
			return cell.Off
		}
	}
	return 0
}
