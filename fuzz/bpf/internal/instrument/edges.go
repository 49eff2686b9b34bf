package instrument

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// edge is an edge of the table with what is needed to probe it.
type edge struct {
	cover.Edge
	fn   *function
	flow cfg.Edge
	room cfg.Room
	// place and insn say where its probe goes.
	place place
	insn  int
	// via holds the edges one of which is passed exactly when this one is; nil when
	// there are none such.
	via []int
}

// addEdges adds the edges of fn that are observed: its entry, both ways out of
// each two-way branch, and edges that close a loop.
func (p *Plan) addEdges(fn *function) {
	where := positions(fn.Func)
	for _, flow := range fn.Edges() {
		if flow.From >= 0 && !flow.TwoWay && !flow.Back {
			continue
		}
		e := edge{fn: fn, flow: flow, room: fn.usage.On(flow, fn.entry)}
		e.Func, e.From, e.To, e.ToPos = fn.label, -1, fn.Offsets[flow.To], where[flow.To]
		e.Kind, e.place = cover.Entry, onEntry
		if flow.From >= 0 {
			e.From, e.FromPos = fn.Offsets[flow.From], where[flow.From]
			e.insn = flow.From
			e.Kind, e.place = cover.FallThrough, onFall
		}
		if flow.Taken {
			e.Kind, e.place = cover.Taken, onTaken
			if !flow.TwoWay {
				// All ways to an unconditional jump take its only way out.
				e.place, e.room = before, fn.usage.Before(flow.From)
			}
		}
		e.ID, e.Program, e.Updates = edgeID(&e.Edge), flow.From < 0 && fn.main, updates(fn.Func, flow.To)
		fn.edges = append(fn.edges, len(p.edges))
		p.edges = append(p.edges, e)
	}
}

// updates reports whether a map is changed by a helper from an instruction on, before
// the next branch.
func updates(f *cfg.Func, from int) bool {
	for range f.Blocks { // as many at most: a loop need not have a branch
		block := &f.Blocks[f.BlockOf[from]]
		for i := from; i < block.End; i++ {
			if changesMap(&f.Insns[i]) {
				return true
			}
		}
		next := max(block.Fall, block.Taken)
		if next < 0 || min(block.Fall, block.Taken) >= 0 {
			return false
		}
		from = f.Blocks[next].First
	}
	return false
}

func changesMap(ins *asm.Instruction) bool {
	if !ins.IsBuiltinCall() {
		return false
	}
	effect := helperOf(asm.BuiltinFunc(ins.Constant)).effect
	return effect == changes || effect == changesKey
}

func edgeID(e *cover.Edge) uint64 {
	h := fnv.New64a()
	h.Write([]byte(e.Func))
	var b [17]byte
	binary.LittleEndian.PutUint64(b[1:], uint64(int64(e.From)))
	binary.LittleEndian.PutUint64(b[9:], uint64(int64(e.To)))
	h.Write(b[:])
	h.Write([]byte{byte(e.Kind)})
	return h.Sum64()
}

// positions returns the source position of each instruction: that of the nearest
// line information before it in the function.
func positions(f *cfg.Func) []cover.Pos {
	where := make([]cover.Pos, len(f.Insns))
	alike := map[cover.Pos][]int{} // lines by file and text
	var pos cover.Pos
	for i := range f.Insns {
		if line, ok := f.Insns[i].Source().(*btf.Line); ok && line != nil {
			pos = cover.Pos{
				File: line.FileName(), Line: int(line.LineNumber()), Column: int(line.LineColumn()),
				Text: strings.TrimSpace(line.Line()),
			}
			text := cover.Pos{File: pos.File, Text: pos.Text}
			if at, found := slices.BinarySearch(alike[text], pos.Line); !found {
				alike[text] = slices.Insert(alike[text], at, pos.Line)
			}
		}
		where[i] = pos
	}
	for i := range where {
		where[i].Nth, _ = slices.BinarySearch(alike[cover.Pos{File: where[i].File, Text: where[i].Text}], where[i].Line)
	}
	return where
}

// findWayward finds the functions from which a call may not come back, because
// they tail-call, throw, or load from the packet as classic BPF does.
func (p *Plan) findWayward() {
	for changed := true; changed; {
		changed = false
		for i := range p.programs {
			prog := &p.programs[i]
			callees := prog.callees()
			for j, f := range prog.funcs {
				if fn := prog.same[j]; !fn.wayward && anyWayward(f, callees) {
					fn.wayward, changed = true, true
				}
			}
		}
	}
}

// callees holds a program's functions by name.
type callees map[string]*function

func (prog *program) callees() callees {
	c := make(callees, len(prog.funcs))
	for j, f := range prog.funcs {
		c[f.Name] = prog.same[j]
	}
	return c
}

func anyWayward(f *cfg.Func, c callees) bool {
	callback := false
	for i := range f.Insns {
		ins := &f.Insns[i]
		callback = callback || ins.IsLoadOfFunctionPointer() && c.wayward(ins)
		if mayLeave(ins, c) {
			return true
		}
	}
	// Which helper gets the function is not followed.
	return callback
}

func (c callees) wayward(ins *asm.Instruction) bool {
	fn := c[ins.Reference()]
	return fn == nil || fn.wayward
}

// mayLeave reports whether control may not go on behind ins.
func mayLeave(ins *asm.Instruction, c callees) bool {
	switch {
	case cfg.IsPacketLoad(ins), ins.IsKfuncCall():
		return true
	case ins.IsBuiltinCall():
		return asm.BuiltinFunc(ins.Constant) == asm.FnTailCall
	case ins.IsFunctionCall():
		return c.wayward(ins)
	}
	return false
}

// prune finds the edges that need no probe: those that always lead to a branch, or
// to an edge that is observed anyway, with no other way in and none out.
func (p *Plan) prune() {
	if p.unpruned {
		return
	}
	unsure := map[int]bool{} // edges that some copy of the function says need a probe
	for i := range p.programs {
		prog := &p.programs[i]
		callees := prog.callees()
		for _, fn := range prog.same {
			p.pruneFunc(fn, callees, unsure)
		}
	}
	for i := range unsure {
		p.edges[i].via = nil
	}
}

// pruneFunc prunes one function as part of one program, whose functions are c.
func (p *Plan) pruneFunc(fn *function, c callees, unsure map[int]bool) {
	out := map[int][]int{} // observed edges by the instruction that they leave
	for _, i := range fn.edges {
		if from := p.edges[i].flow.From; from >= 0 {
			out[from] = append(out[from], i)
		}
	}
	leaves := make([]bool, len(fn.Insns))
	callback := false
	for i := range fn.Insns {
		leaves[i] = mayLeave(&fn.Insns[i], c)
		callback = callback || fn.Insns[i].IsLoadOfFunctionPointer() && c.wayward(&fn.Insns[i])
	}
	if callback {
		for i := range fn.Insns {
			ins := &fn.Insns[i]
			leaves[i] = leaves[i] || ins.IsBuiltinCall() && helperOf(asm.BuiltinFunc(ins.Constant)).calls
		}
	}
	for _, i := range fn.edges {
		p.edges[i].via = fn.leadsTo(fn.BlockOf[p.edges[i].flow.To], out, leaves)
		if p.edges[i].via == nil {
			unsure[i] = true
		}
	}
}

// leadsTo returns the edges one of which follows whenever block b, which must have
// a single way in, is entered.
func (fn *function) leadsTo(b int, out map[int][]int, leaves []bool) []int {
	for steps := 0; steps < len(fn.Blocks); steps++ {
		block := &fn.Blocks[b]
		if block.Preds != 1 {
			return nil
		}
		for i := block.First; i < block.End; i++ {
			if leaves[i] {
				return nil
			}
		}
		if via := out[block.End-1]; via != nil {
			return via
		}
		if b = max(block.Fall, block.Taken); b < 0 {
			return nil
		}
	}
	return nil
}

// findSpillRoom decides in which functions registers may be saved on the stack. It
// is free where the kernel, which rounds a frame up to 16 or 32 bytes, would not
// notice; elsewhere the deepest chain of calls must stay within the limit, which is
// 256 bytes where a function that is called makes tail calls.
func (p *Plan) findSpillRoom() {
	const want = 2
	limit, deepest := 512, 0
	for i := range p.programs {
		prog := &p.programs[i]
		sum := 0
		for j, fn := range prog.same {
			if j > 0 && fn.wayward {
				limit = 256
			}
			// Adding up all functions is more than any chain of calls needs.
			sum += (fn.depth + 8*want + 31) &^ 31
		}
		deepest = max(deepest, sum)
	}
	for _, fn := range p.funcs {
		if !fn.depthOK {
			continue
		}
		room := (fn.depth+15)&^15 - align(fn.depth)
		if deepest <= limit {
			room = 8 * want
		}
		fn.slots = min(want, room/8, (512-align(fn.depth))/8)
	}
}
