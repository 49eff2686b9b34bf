package graph

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"
)

// Sizes in pixels.
const (
	fontSize   = 11
	charWidth  = 6.7 // of a monospaced font of that size
	lineHeight = 14
	padding    = 6
	gapX       = 24 // between neighbours
	gapY       = 34 // between ranks, where edges bend
	laneWidth  = 7
	margin     = 16
)

// maxSpan is how many ranks an edge may span to find its way between nodes. Longer
// ones, and those that lead back, go in a lane beside all nodes, which also bounds the
// size of the layout by that of the graph.
const maxSpan = 6

// sweeps is how often ranks are ordered by their neighbours, and moved towards them:
// more change little.
const sweeps = 12

// point is a place in the drawing, with y downward.
type point struct{ x, y float64 }

// vertex is a node, or a bend of an edge that spans ranks.
type vertex struct {
	node          int // -1 for a bend
	rank          int
	width, height float64
	x, y          float64 // of its middle, and its upper side
	up, down      []int   // neighbours in the ranks above and below
}

// layout places the nodes of a part and the bends of its edges.
type layout struct {
	part     *Part
	vertices []vertex // the nodes come first
	ranks    [][]int  // vertices from left to right
	chains   [][]int  // the vertices of each edge; nil for one in a lane
	paths    [][]point
	width    float64
	height   float64
}

func newLayout(p *Part) *layout {
	l := &layout{part: p, chains: make([][]int, len(p.Edges)), paths: make([][]point, len(p.Edges))}
	for i := range p.Nodes {
		w, h := size(&p.Nodes[i])
		l.vertices = append(l.vertices, vertex{node: i, width: w, height: h})
	}
	l.rank()
	l.bend()
	l.order()
	l.place()
	l.route()
	return l
}

func size(n *Node) (width, height float64) {
	longest := 16 // so that the labels of two edges fit below
	for _, line := range n.Lines {
		longest = max(longest, utf8.RuneCountInString(clean(line)))
	}
	return float64(longest)*charWidth + 2*padding, float64(max(1, len(n.Lines)))*lineHeight + 2*padding
}

// rank puts each node below all that lead to it, loops apart.
func (l *layout) rank() {
	next := make([][]int, len(l.vertices))
	for _, e := range l.part.Edges {
		next[e.From] = append(next[e.From], e.To)
	}
	order := topological(next)
	at := make([]int, len(order))
	for i, v := range order {
		at[v] = i
	}
	last := 0
	for _, v := range order {
		for _, to := range next[v] {
			if at[to] > at[v] {
				l.vertices[to].rank = max(l.vertices[to].rank, l.vertices[v].rank+1)
				last = max(last, l.vertices[to].rank)
			}
		}
	}
	l.ranks = make([][]int, last+1)
	for _, v := range order {
		r := l.vertices[v].rank
		l.ranks[r] = append(l.ranks[r], v)
	}
}

// topological orders nodes so that all edges lead forward but those that close a
// loop: the reverse of the order in which a depth-first walk leaves them.
func topological(next [][]int) []int {
	var order []int
	seen := make([]bool, len(next))
	type step struct{ node, next int }
	for root := range next {
		if seen[root] {
			continue
		}
		seen[root] = true
		for path := []step{{node: root}}; len(path) > 0; {
			top := &path[len(path)-1]
			if top.next == len(next[top.node]) {
				order = append(order, top.node)
				path = path[:len(path)-1]
				continue
			}
			to := next[top.node][top.next]
			top.next++
			if !seen[to] {
				seen[to] = true
				path = append(path, step{node: to})
			}
		}
	}
	slices.Reverse(order)
	return order
}

// bend gives edges that span ranks a bend in each rank between.
func (l *layout) bend() {
	for i, e := range l.part.Edges {
		from, to := l.vertices[e.From].rank, l.vertices[e.To].rank
		if to <= from || to-from > maxSpan {
			continue
		}
		chain := []int{e.From}
		for r := from + 1; r < to; r++ {
			l.ranks[r] = append(l.ranks[r], len(l.vertices))
			chain = append(chain, len(l.vertices))
			l.vertices = append(l.vertices, vertex{node: -1, rank: r, width: laneWidth})
		}
		chain = append(chain, e.To)
		for j := 1; j < len(chain); j++ {
			above, below := &l.vertices[chain[j-1]], &l.vertices[chain[j]]
			above.down, below.up = append(above.down, chain[j]), append(below.up, chain[j-1])
		}
		l.chains[i] = chain
	}
}

// order sorts each rank by where its neighbours are, down and up in turn, so that
// edges cross less.
func (l *layout) order() {
	position := make([]float64, len(l.vertices))
	number := func(rank []int) {
		for i, v := range rank {
			position[v] = (float64(i) + 0.5) / float64(len(rank))
		}
	}
	for _, rank := range l.ranks {
		number(rank)
	}
	for n := range sweeps {
		l.sweep(n, func(rank []int, neighbours func(int) []int) {
			wanted := map[int]float64{}
			for _, v := range rank {
				wanted[v] = mean(neighbours(v), position, position[v])
			}
			slices.SortStableFunc(rank, func(a, b int) int { return cmp.Compare(wanted[a], wanted[b]) })
			number(rank)
		})
	}
}

// sweep calls do for each rank, downward for even n.
func (l *layout) sweep(n int, do func(rank []int, neighbours func(int) []int)) {
	up := func(v int) []int { return l.vertices[v].up }
	down := func(v int) []int { return l.vertices[v].down }
	for i := range l.ranks {
		if n%2 == 0 {
			do(l.ranks[i], up)
		} else {
			do(l.ranks[len(l.ranks)-1-i], down)
		}
	}
}

func mean(of []int, values []float64, otherwise float64) float64 {
	if len(of) == 0 {
		return otherwise
	}
	sum := 0.0
	for _, i := range of {
		sum += values[i]
	}
	return sum / float64(len(of))
}

// place gives vertices their coordinates: near their neighbours, none on another.
func (l *layout) place() {
	x := make([]float64, len(l.vertices))
	for _, rank := range l.ranks {
		l.spread(rank, x, make([]float64, len(rank)))
	}
	for n := range sweeps {
		l.sweep(n, func(rank []int, neighbours func(int) []int) {
			wanted := make([]float64, len(rank))
			for i, v := range rank {
				wanted[i] = mean(neighbours(v), x, x[v])
			}
			l.spread(rank, x, wanted)
		})
	}
	l.normalise(x)
}

// spread moves the vertices of a rank as little as possible from where they are
// wanted (by the sum of squares) so that they keep their order and distance: without
// the distances this is isotonic regression, which pooling neighbours that violate
// the order solves.
func (l *layout) spread(rank []int, x, wanted []float64) {
	type pool struct {
		sum float64
		n   int
	}
	var pools []pool
	offsets := make([]float64, len(rank))
	for i, v := range rank {
		if i > 0 {
			offsets[i] = offsets[i-1] + (l.vertices[rank[i-1]].width+l.vertices[v].width)/2 + gapX
		}
		pools = append(pools, pool{wanted[i] - offsets[i], 1})
		for len(pools) > 1 {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			if a.sum/float64(a.n) <= b.sum/float64(b.n) {
				break
			}
			pools = append(pools[:len(pools)-2], pool{a.sum + b.sum, a.n + b.n})
		}
	}
	i := 0
	for _, p := range pools {
		for range p.n {
			x[rank[i]] = p.sum/float64(p.n) + offsets[i]
			i++
		}
	}
}

// normalise moves the drawing to the origin and stacks the ranks.
func (l *layout) normalise(x []float64) {
	least, most := math.Inf(1), math.Inf(-1)
	for v := range l.vertices {
		half := l.vertices[v].width / 2
		least, most = min(least, x[v]-half), max(most, x[v]+half)
	}
	y := 0.0
	for _, rank := range l.ranks {
		height := 0.0
		for _, v := range rank {
			l.vertices[v].x, l.vertices[v].y = x[v]-least, y
			height = max(height, l.vertices[v].height)
		}
		for _, v := range rank {
			if l.vertices[v].node < 0 {
				l.vertices[v].height = height // edges pass straight between nodes
			}
		}
		y += height + gapY
	}
	l.width, l.height = max(0, most-least), max(0, y-gapY)
}
