package cfg

// Loops says for each block whether it can be passed again in one call of the
// function: whether some path leads from its end back to its start.
func (f *Func) Loops() []bool {
	in := make([]bool, len(f.Blocks))
	order, low := make([]int, len(f.Blocks)), make([]int, len(f.Blocks))
	onStack := make([]bool, len(f.Blocks))
	var stack []int
	type step struct{ block, next int }
	count := 0
	enter := func(b int) step {
		count++
		order[b], low[b], onStack[b] = count, count, true
		stack = append(stack, b)
		return step{block: b}
	}
	path := []step{enter(0)}
	for len(path) > 0 {
		top := &path[len(path)-1]
		b := top.block
		if top.next < 2 {
			next := [...]int{f.Blocks[b].Fall, f.Blocks[b].Taken}[top.next]
			top.next++
			switch {
			case next < 0:
			case next == b:
				in[b] = true
			case order[next] == 0:
				path = append(path, enter(next))
			case onStack[next]:
				low[b] = min(low[b], order[next])
			}
			continue
		}
		path = path[:len(path)-1]
		if len(path) > 0 {
			up := path[len(path)-1].block
			low[up] = min(low[up], low[b])
		}
		if low[b] != order[b] {
			continue
		}
		// b and what is above it on the stack lead to one another.
		alone := stack[len(stack)-1] == b
		for {
			last := stack[len(stack)-1]
			stack, onStack[last] = stack[:len(stack)-1], false
			in[last] = in[last] || !alone
			if last == b {
				break
			}
		}
	}
	return in
}
