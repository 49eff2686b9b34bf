package instrument

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"
)

// What a program has in memory that it has not written differs from run to run, and a
// test run mostly has zeros there. The Poison variant fills it with patterns that the
// caller chooses: each function its part of the stack below r10 when it is entered, the
// entry program of XDP the room in front of its packet.

// PoisonedHeadroom is how many bytes in front of a packet are filled, where there is that
// much room.
const PoisonedHeadroom = 192

const (
	poisonStack    = 0 // u64
	poisonHeadroom = 8 // u64
	poisonSize     = 16

	// stackLimit is the kernel's, in bytes.
	stackLimit = 512
)

// SetPoison chooses what fills stack and headroom, in the value of the coverage map of a
// Poison variant.
func (l *Layout) SetPoison(value []byte, stack, headroom uint64) {
	binary.NativeEndian.PutUint64(value[l.Poison+poisonStack:], stack)
	binary.NativeEndian.PutUint64(value[l.Poison+poisonHeadroom:], headroom)
}

// UsesStack reports whether there is anything on the stack to be filled.
func (p *Plan) UsesStack() bool {
	for _, fn := range p.funcs {
		if fn.depth > 0 {
			return true
		}
	}
	return false
}

// GrowsHead reports whether the programs call what uncovers bytes in front of a packet.
func (p *Plan) GrowsHead() bool {
	for _, fn := range p.funcs {
		for i := range fn.Insns {
			if ins := &fn.Insns[i]; ins.IsBuiltinCall() {
				switch asm.BuiltinFunc(ins.Constant) {
				case asm.FnXdpAdjustHead, asm.FnXdpAdjustMeta:
					return true
				}
			}
		}
	}
	return false
}

// poisonInsertions returns what a function does when it is entered.
func (p *Plan) poisonInsertions(fn *function, a *assignment, mapName string) []insertion {
	var code asm.Instructions
	if fn == p.programs[0].same[0] && p.GrowsHead() {
		code = fillHeadroom(mapName, a.layout.Poison)
	}
	code = append(code, fillStack(fn, mapName, a.layout.Poison)...)
	if len(code) == 0 {
		return nil
	}
	return []insertion{{place: onEntry, code: code}}
}

// fillStack needs no register but r0, which has no value when a function is entered. The
// pattern comes from memory: the verifier would take a constant for the stack's contents.
func fillStack(fn *function, mapName string, at int) asm.Instructions {
	depth := min(align(fn.depth), stackLimit)
	if depth <= 0 {
		return nil
	}
	code := asm.Instructions{address(asm.R0, mapName, at), asm.LoadMem(asm.R0, asm.R0, poisonStack, asm.DWord)}
	for off := 8; off <= depth; off += 8 {
		code = append(code, asm.StoreMem(asm.R10, int16(-off), asm.R0, asm.DWord))
	}
	return code
}

// fillHeadroom uncovers the headroom, fills it and covers it again. Metadata moves
// there and back. In front of a main function all registers but r1 are free.
func fillHeadroom(mapName string, at int) asm.Instructions {
	c := newCoder()
	c.add(asm.Mov.Reg(regCtx, asm.R1), asm.Mov.Imm(asm.R2, -PoisonedHeadroom), asm.FnXdpAdjustHead.Call())
	c.when(asm.R0, asm.JNE, 0, "done") // long metadata leaves too little room
	c.add(
		asm.LoadMem(asm.R2, regCtx, xdpData, asm.Word), asm.LoadMem(asm.R3, regCtx, xdpDataEnd, asm.Word),
		asm.Mov.Reg(asm.R0, asm.R2), asm.Add.Imm(asm.R0, PoisonedHeadroom))
	c.whenReg(asm.R0, asm.JGT, asm.R3, "filled")
	c.add(address(asm.R4, mapName, at), asm.LoadMem(asm.R4, asm.R4, poisonHeadroom, asm.DWord))
	for off := 0; off < PoisonedHeadroom; off += 8 {
		c.add(asm.StoreMem(asm.R2, int16(off), asm.R4, asm.DWord))
	}
	c.label("filled")
	c.add(asm.Mov.Reg(asm.R1, regCtx), asm.Mov.Imm(asm.R2, PoisonedHeadroom), asm.FnXdpAdjustHead.Call())
	c.label("done")
	c.add(asm.Mov.Reg(asm.R1, regCtx))
	return c.finish()
}
