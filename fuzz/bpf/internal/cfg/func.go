// Package cfg takes the bytecode of a program apart: functions, basic blocks,
// edges, and what is known about registers and the stack at each instruction. It
// reads instructions as cilium/ebpf holds them after an ELF load and changes none.
// All its passes are pure, deterministic and total: malformed code gives an error.
package cfg

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// Func is one function of a flat program. All indices are those of its own Insns.
type Func struct {
	// Name is the symbol of the first instruction; "" only for a program without symbols.
	Name string
	// First is the index of the function's first instruction in the flat program.
	First int
	// Insns is the part of the flat program that is the function.
	Insns asm.Instructions
	// Offsets holds the offset of each instruction in raw slots from the function's
	// start, and the function's length as its last element.
	Offsets []int
	// Targets holds the instruction that each instruction jumps to, -1 for those
	// that do not jump.
	Targets []int
	// Blocks are in the order of their code; the first is the function's entry.
	Blocks []Block
	// BlockOf holds the block of each instruction.
	BlockOf []int
}

// Split takes a flat program apart: a function begins where an instruction has a
// symbol. It fails on code that no kernel would accept: jumps out of the function
// or into the middle of an instruction, functions that run into the next one,
// jumps to labels that have not been resolved.
func Split(insns asm.Instructions) ([]*Func, error) {
	var funcs []*Func
	for first := 0; first < len(insns); {
		end := first + 1
		for end < len(insns) && insns[end].Symbol() == "" {
			end++
		}
		f := &Func{Name: insns[first].Symbol(), First: first, Insns: insns[first:end:end]}
		if err := f.build(); err != nil {
			return nil, fmt.Errorf("function %q: %w", f.Name, err)
		}
		funcs = append(funcs, f)
		first = end
	}
	if len(funcs) == 0 {
		return nil, fmt.Errorf("a program without instructions")
	}
	return funcs, nil
}

func (f *Func) build() error {
	f.Offsets = make([]int, len(f.Insns)+1)
	at := make(map[int]int, len(f.Insns)) // raw offset to instruction
	for i := range f.Insns {
		if f.Insns[i].OpCode == asm.InvalidOpCode {
			return fmt.Errorf("instruction %d has no opcode", i)
		}
		if f.Insns[i].Dst > asm.R10 || f.Insns[i].Src > asm.R10 {
			return fmt.Errorf("instruction %d uses a register that does not exist", i)
		}
		at[f.Offsets[i]] = i
		f.Offsets[i+1] = f.Offsets[i] + int(f.Insns[i].Width())
	}
	f.Targets = make([]int, len(f.Insns))
	for i := range f.Insns {
		f.Targets[i] = -1
		distance, err := jump(&f.Insns[i])
		if err != nil {
			return fmt.Errorf("instruction %d: %w", i, err)
		}
		if distance == nil {
			continue
		}
		target, ok := at[f.Offsets[i+1]+*distance]
		if !ok {
			return fmt.Errorf("instruction %d jumps by %d slots, where no instruction of the function begins", i, *distance)
		}
		f.Targets[i] = target
	}
	if last := len(f.Insns) - 1; falls(&f.Insns[last]) && !f.Insns[last].IsKfuncCall() {
		// A call of the kfunc bpf_throw may end a function: it does not come back.
		return fmt.Errorf("the last instruction %d neither exits nor jumps", last)
	}
	f.buildBlocks()
	return nil
}

// jump returns by how many slots an instruction jumps, nil when it does not.
func jump(ins *asm.Instruction) (*int, error) {
	op := ins.OpCode
	if !op.Class().IsJump() {
		return nil, nil
	}
	switch op.JumpOp() {
	case asm.Call, asm.Exit:
		return nil, nil
	case asm.InvalidJumpOp:
		return nil, fmt.Errorf("unknown jump %#x", uint32(op))
	case asm.Ja:
		if op.Source() == asm.RegSource {
			return nil, fmt.Errorf("jump to an address in a register")
		}
	}
	if ins.Reference() != "" {
		return nil, fmt.Errorf("jump to label %q, which has not been resolved", ins.Reference())
	}
	distance := int(ins.Offset)
	if IsLongJump(ins) {
		distance = int(int32(ins.Constant))
	}
	return &distance, nil
}

// IsLongJump reports whether ins is a gotol, whose offset is in its constant.
func IsLongJump(ins *asm.Instruction) bool {
	return ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja
}

// IsJa reports whether ins always jumps.
func IsJa(ins *asm.Instruction) bool {
	return ins.OpCode.Class().IsJump() && ins.OpCode.JumpOp() == asm.Ja
}

// IsBranch reports whether ins has two successors: a conditional jump or a may_goto.
func IsBranch(ins *asm.Instruction) bool {
	if !ins.OpCode.Class().IsJump() {
		return false
	}
	switch ins.OpCode.JumpOp() {
	case asm.Ja, asm.Call, asm.Exit:
		return false
	}
	return true
}

// IsExit reports whether ins leaves the function.
func IsExit(ins *asm.Instruction) bool {
	return ins.OpCode.Class().IsJump() && ins.OpCode.JumpOp() == asm.Exit
}

// IsPacketLoad reports whether ins is one of the loads of classic BPF, which end
// the program by themselves when the packet is too short.
func IsPacketLoad(ins *asm.Instruction) bool {
	if ins.OpCode.Class() != asm.LdClass {
		return false
	}
	return ins.OpCode.Mode() == asm.AbsMode || ins.OpCode.Mode() == asm.IndMode
}

// falls reports whether control can go from ins to the next instruction.
func falls(ins *asm.Instruction) bool { return !IsJa(ins) && !IsExit(ins) }
