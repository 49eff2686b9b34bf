package instrument

import (
	"fmt"
	"math"
	"sort"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// place says where code goes relative to an instruction.
type place uint8

const (
	// onEntry is passed when the function is entered, not by jumps to its first instruction.
	onEntry place = iota
	// onFall is passed when control falls from the instruction into the next one.
	onFall
	// onTaken is passed when the instruction jumps.
	onTaken
	// before is passed on every way to the instruction.
	before
	// instead takes the instruction's place.
	instead
)

// insertion is code to be put somewhere in a function. Several at one place are put
// there in the order in which they are listed. Code runs from its first
// instruction to beyond its last one; jumps inside it, which may lead to just behind
// its end, have their offsets already. It has no symbols.
//
// Whatever a variant adds to a program is a list of these: what is to be passed
// first on entry is listed first.
type insertion struct {
	place place
	insn  int
	code  asm.Instructions
}

// item is an instruction of the rewritten function.
type item struct {
	ins asm.Instruction
	// target is the label that the instruction jumps to, -1 for none.
	target int
	// far is set when the jump needs its long form.
	far bool
}

// rewriter lays out one function.
type rewriter struct {
	f     *cfg.Func
	at    map[place]map[int]asm.Instructions
	items []item
	// labels holds the item at which each label is: labels below len(Insns) are the
	// instructions', those above the stubs'.
	labels []int
	// heads holds for each instruction the only branch that jumps to it, -1 if none:
	// code on that edge can stand in front of it.
	heads []int
	stubs []int // branches whose taken edge has a stub, in order
}

// insert returns f, whose instructions are insns (f's own or a copy of the same
// code in another program), with the insertions made and all jumps following their
// targets.
func insert(f *cfg.Func, insns asm.Instructions, insertions []insertion) (asm.Instructions, error) {
	r := &rewriter{f: f, at: map[place]map[int]asm.Instructions{onEntry: {}, onFall: {}, onTaken: {}, before: {}, instead: {}}}
	sort.SliceStable(insertions, func(i, j int) bool { return insertions[i].insn < insertions[j].insn })
	for _, in := range insertions {
		r.at[in.place][in.insn] = append(r.at[in.place][in.insn], in.code...)
	}
	r.findHeads()
	r.lay(insns)
	offsets := r.relax()
	out, err := r.finish(offsets)
	if err != nil {
		return nil, fmt.Errorf("function %q: %w", f.Name, err)
	}
	moveIdentity(out, insns[0])
	return out, nil
}

// findHeads finds the branch targets with a single way in.
func (r *rewriter) findHeads() {
	r.heads = make([]int, len(r.f.Insns))
	for i := range r.heads {
		r.heads[i] = -1
	}
	for i, target := range r.f.Targets {
		if target >= 0 && r.f.Blocks[r.f.BlockOf[target]].Preds == 1 && r.f.Blocks[r.f.BlockOf[i]].Reachable {
			r.heads[target] = i
		}
	}
}

func (r *rewriter) code(code asm.Instructions) {
	for _, ins := range code {
		r.items = append(r.items, item{ins: ins, target: -1})
	}
}

// lay puts original and inserted code in order and gives every jump its label.
func (r *rewriter) lay(insns asm.Instructions) {
	r.labels = make([]int, len(insns), len(insns)+8)
	r.code(r.at[onEntry][0])
	for i, ins := range insns {
		head := r.heads[i]
		r.labels[i] = len(r.items)
		if head >= 0 {
			r.code(r.at[onTaken][head])
		}
		r.code(r.at[before][i])
		if code := r.at[instead][i]; len(code) > 0 {
			at := len(r.items)
			r.code(code)
			r.items[at].ins = r.items[at].ins.WithSource(ins.Source())
		} else {
			r.items = append(r.items, item{ins: ins, target: r.label(i)})
		}
		r.code(r.at[onFall][i])
	}
	for n, branch := range r.stubs {
		r.labels[len(insns)+n] = len(r.items)
		r.code(r.at[onTaken][branch])
		r.items = append(r.items, item{ins: asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja)}, target: r.f.Targets[branch]})
	}
}

// label returns the label that instruction i jumps to, which is a stub's when there
// is code on that edge that cannot stand in front of the target.
func (r *rewriter) label(i int) int {
	target := r.f.Targets[i]
	if target < 0 || r.heads[target] == i || len(r.at[onTaken][i]) == 0 {
		return target
	}
	r.stubs = append(r.stubs, i)
	r.labels = append(r.labels, 0)
	return len(r.labels) - 1
}

// slots returns how many slots an item takes. A conditional jump that is too far
// becomes one over a jump around a long jump.
func (it *item) slots() int {
	if it.far && cfg.IsBranch(&it.ins) {
		return 3
	}
	return int(it.ins.Width())
}

// relax finds the jumps that need their long form, and returns the offset of each
// item. Long forms make others too far, so it repeats until none is.
func (r *rewriter) relax() []int {
	offsets := make([]int, len(r.items)+1)
	for {
		for i := range r.items {
			offsets[i+1] = offsets[i] + r.items[i].slots()
		}
		changed := false
		for i := range r.items {
			it := &r.items[i]
			if it.target < 0 || it.far || cfg.IsLongJump(&it.ins) {
				continue
			}
			// The short form counts from its own end.
			distance := offsets[r.labels[it.target]] - offsets[i] - 1
			if distance != int(int16(distance)) {
				it.far, changed = true, true
			}
		}
		if !changed {
			return offsets
		}
	}
}

// finish writes the distances into the jumps.
func (r *rewriter) finish(offsets []int) (asm.Instructions, error) {
	out := make(asm.Instructions, 0, len(r.items)+2*len(r.stubs))
	for i := range r.items {
		it := &r.items[i]
		if it.target < 0 {
			out = append(out, it.ins)
			continue
		}
		// All forms of jump count from the item's end: the long jump is its last slot.
		distance := offsets[r.labels[it.target]] - offsets[i+1]
		if distance > math.MaxInt32 || distance < math.MinInt32 {
			return nil, fmt.Errorf("a jump over %d slots", distance)
		}
		switch {
		case cfg.IsLongJump(&it.ins):
			it.ins.Constant = int64(distance)
			out = append(out, it.ins)
		case !it.far:
			it.ins.Offset = int16(distance)
			out = append(out, it.ins)
		case cfg.IsBranch(&it.ins):
			it.ins.Offset = 1
			around := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: 1}
			out = append(out, it.ins, around, longJump(distance))
		default:
			long := longJump(distance)
			long.Metadata = it.ins.Metadata
			out = append(out, long)
		}
	}
	return out, nil
}

func longJump(distance int) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.Jump32Class).SetJumpOp(asm.Ja), Constant: int64(distance)}
}

// moveIdentity makes the first instruction of out the start of the function that
// began with first: the kernel wants symbol, function and line information there,
// and the former two nowhere else.
func moveIdentity(out asm.Instructions, first asm.Instruction) {
	symbol, fn, source := first.Symbol(), btf.FuncMetadata(&first), first.Source()
	for i := range out {
		if i > 0 && symbol != "" && out[i].Symbol() == symbol {
			out[i] = out[i].WithSymbol("")
		}
		if i > 0 && fn != nil && btf.FuncMetadata(&out[i]) == fn {
			out[i] = btf.WithFuncMetadata(out[i], nil)
		}
	}
	if symbol != "" {
		out[0] = out[0].WithSymbol(symbol)
	}
	if fn != nil {
		out[0] = btf.WithFuncMetadata(out[0], fn)
	}
	if source != nil {
		out[0] = out[0].WithSource(source)
	}
}
