package graph

import (
	"cmp"
	"slices"
)

// port spreads the ends of a node's edges along its side.
type port struct{ used, total int }

func (p *port) next(v *vertex) float64 {
	p.used++
	return v.x + v.width*(float64(p.used)/float64(p.total+1)-0.5)
}

// route draws the edges as lines that begin below and end above a node.
func (l *layout) route() {
	lanes := l.lanes()
	outs, ins := make([]port, len(l.part.Nodes)), make([]port, len(l.part.Nodes))
	for _, e := range l.part.Edges {
		outs[e.From].total++
		ins[e.To].total++
	}
	for _, i := range l.byDestination() {
		e := &l.part.Edges[i]
		from, to := &l.vertices[e.From], &l.vertices[e.To]
		start := point{outs[e.From].next(from), from.y + from.height}
		end := point{ins[e.To].next(to), to.y}
		if lane, ok := lanes[i]; ok {
			x, below, above := l.laneX(lane), l.below(from.rank)+gapY/3+float64(lane.index%4)*2, to.y-gapY/3-float64(lane.index%4)*2
			l.paths[i] = []point{start, {start.x, below}, {x, below}, {x, above}, {end.x, above}, end}
			continue
		}
		path := []point{start, {start.x, l.below(from.rank)}}
		for _, v := range l.chains[i][1 : len(l.chains[i])-1] {
			bend := &l.vertices[v]
			path = append(path, point{bend.x, bend.y}, point{bend.x, bend.y + bend.height})
		}
		l.paths[i] = append(path, end)
	}
}

// below returns the lower side of a rank.
func (l *layout) below(rank int) float64 {
	low := 0.0
	for _, v := range l.ranks[rank] {
		low = max(low, l.vertices[v].y+l.vertices[v].height)
	}
	return low
}

// byDestination orders edges by where they come from and lead to, from left to right,
// so that those of one node do not cross at once.
func (l *layout) byDestination() []int {
	order := make([]int, len(l.part.Edges))
	for i := range order {
		order[i] = i
	}
	x := func(i int) (from, to float64) {
		e := &l.part.Edges[i]
		return l.vertices[e.From].x, l.vertices[e.To].x
	}
	slices.SortStableFunc(order, func(a, b int) int {
		fromA, toA := x(a)
		fromB, toB := x(b)
		return cmp.Or(cmp.Compare(fromA+toA, fromB+toB), cmp.Compare(toA, toB))
	})
	return order
}

// lane is a vertical way beside all nodes: on the left for edges that lead back, on
// the right for long ones.
type lane struct {
	index int
	left  bool
}

func (l *layout) laneX(at lane) float64 {
	beside := gapX + float64(at.index)*laneWidth
	if at.left {
		return -beside
	}
	return l.width + beside
}

// bundle is what shares a lane: edges to one node that look the same.
type bundle struct {
	to    int
	state State
	left  bool
}

// stretch is the ranks that a bundle passes.
type stretch struct {
	bundle
	top, bottom int
}

// lanes gives each edge without a chain the first lane that is free along its bundle.
func (l *layout) lanes() map[int]lane {
	given := map[bundle]lane{}
	var free [2][]int // for each side and lane, the rank from which it is free
	for _, s := range l.stretches() {
		side := 0
		if s.left {
			side = 1
		}
		n := slices.IndexFunc(free[side], func(rank int) bool { return rank <= s.top })
		if n < 0 {
			n = len(free[side])
			free[side] = append(free[side], 0)
		}
		free[side][n] = s.bottom + 1
		given[s.bundle] = lane{n, s.left}
	}
	lanes := map[int]lane{}
	for i := range l.part.Edges {
		if l.chains[i] == nil {
			lanes[i] = given[l.bundleOf(i)]
		}
	}
	return lanes
}

// stretches lists the bundles from top to bottom, the short ones first.
func (l *layout) stretches() []stretch {
	var list []stretch
	index := map[bundle]int{}
	for i, e := range l.part.Edges {
		if l.chains[i] != nil {
			continue
		}
		from, to := l.vertices[e.From].rank, l.vertices[e.To].rank
		top, bottom := min(from, to), max(from, to)
		b := l.bundleOf(i)
		if n, ok := index[b]; ok {
			list[n].top, list[n].bottom = min(list[n].top, top), max(list[n].bottom, bottom)
			continue
		}
		index[b] = len(list)
		list = append(list, stretch{b, top, bottom})
	}
	slices.SortStableFunc(list, func(a, b stretch) int { return cmp.Or(cmp.Compare(a.top, b.top), cmp.Compare(a.bottom, b.bottom)) })
	return list
}

func (l *layout) bundleOf(edge int) bundle {
	e := &l.part.Edges[edge]
	return bundle{e.To, e.State, l.vertices[e.To].rank <= l.vertices[e.From].rank}
}

// bounds returns the corners of everything that is drawn.
func (l *layout) bounds() (low, high point) {
	high = point{l.width, l.height}
	for _, path := range l.paths {
		for _, p := range path {
			low = point{min(low.x, p.x), min(low.y, p.y)}
			high = point{max(high.x, p.x), max(high.y, p.y)}
		}
	}
	return low, high
}
