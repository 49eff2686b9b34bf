package cfg

// Block is a basic block: instructions [First, End) that run one after another.
type Block struct {
	First, End int
	// Fall and Taken are the blocks that follow, -1 where there is none. A block
	// that ends in an unconditional jump has only Taken.
	Fall, Taken int
	// Preds counts the edges into the block; the function's entry is one of the first
	// block's.
	Preds int
	// Reachable is false for blocks that no path from the entry leads to.
	Reachable bool
}

// Edge is an edge between blocks, or the entry of a function.
type Edge struct {
	// From is the last instruction of the source, -1 for the entry of the function;
	// To is the first instruction of the destination.
	From, To int
	// Taken tells the edge that jumps from the one that falls through.
	Taken bool
	// TwoWay is true when the source has another way out.
	TwoWay bool
	// Back is true when the edge closes a loop: its destination is on the path by
	// which a depth-first walk came to its source.
	Back bool
}

func (f *Func) buildBlocks() {
	leader := make([]bool, len(f.Insns)+1)
	leader[0] = true
	for i := range f.Insns {
		if target := f.Targets[i]; target >= 0 {
			leader[target] = true
		}
		if f.Targets[i] >= 0 || IsExit(&f.Insns[i]) {
			leader[i+1] = true
		}
	}
	f.BlockOf = make([]int, len(f.Insns))
	for i := range f.Insns {
		if leader[i] {
			f.Blocks = append(f.Blocks, Block{First: i, Fall: -1, Taken: -1})
		}
		f.BlockOf[i] = len(f.Blocks) - 1
		f.Blocks[len(f.Blocks)-1].End = i + 1
	}
	for b := range f.Blocks {
		block := &f.Blocks[b]
		last := block.End - 1
		if falls(&f.Insns[last]) && block.End < len(f.Insns) {
			block.Fall = b + 1
		}
		if f.Targets[last] >= 0 {
			block.Taken = f.BlockOf[f.Targets[last]]
		}
	}
	f.reach()
}

// reach marks what the entry leads to, and counts edges from there.
func (f *Func) reach() {
	f.Blocks[0].Preds, f.Blocks[0].Reachable = 1, true
	for work := []int{0}; len(work) > 0; {
		block := &f.Blocks[work[len(work)-1]]
		work = work[:len(work)-1]
		for _, next := range [...]int{block.Fall, block.Taken} {
			if next < 0 {
				continue
			}
			f.Blocks[next].Preds++
			if !f.Blocks[next].Reachable {
				f.Blocks[next].Reachable = true
				work = append(work, next)
			}
		}
	}
}

// Edges lists the entry and then every edge between reachable blocks, in the
// order of their sources; of a branch, the edge that falls through comes first.
func (f *Func) Edges() []Edge {
	edges := []Edge{{From: -1}}
	back := f.backEdges()
	for b := range f.Blocks {
		block := &f.Blocks[b]
		if !block.Reachable {
			continue
		}
		two := block.Fall >= 0 && block.Taken >= 0
		if block.Fall >= 0 {
			edges = append(edges, Edge{
				From: block.End - 1, To: f.Blocks[block.Fall].First, TwoWay: two, Back: back[b][0],
			})
		}
		if block.Taken >= 0 {
			edges = append(edges, Edge{
				From: block.End - 1, To: f.Blocks[block.Taken].First, TwoWay: two, Taken: true, Back: back[b][1],
			})
		}
	}
	return edges
}

// backEdges says for each block whether its fall-through and its taken edge close
// a loop.
func (f *Func) backEdges() [][2]bool {
	const (
		unseen = iota
		onPath
		done
	)
	back := make([][2]bool, len(f.Blocks))
	state := make([]uint8, len(f.Blocks))
	type step struct{ block, next int }
	path := []step{{}}
	state[0] = onPath
	for len(path) > 0 {
		top := &path[len(path)-1]
		if top.next == 2 {
			state[top.block] = done
			path = path[:len(path)-1]
			continue
		}
		which := top.next
		top.next++
		next := [...]int{f.Blocks[top.block].Fall, f.Blocks[top.block].Taken}[which]
		if next < 0 {
			continue
		}
		switch state[next] {
		case onPath:
			back[top.block][which] = true
		case unseen:
			state[next] = onPath
			path = append(path, step{block: next})
		}
	}
	return back
}
