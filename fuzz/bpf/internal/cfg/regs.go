package cfg

import (
	"math/bits"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// RegSet is a set of registers, one bit each.
type RegSet uint16

const (
	// General holds r0 to r9.
	General RegSet = 1<<10 - 1
	// Args holds r1 to r5, which carry arguments and do not survive a call.
	Args RegSet = 0b111110
)

// Regs returns the set of the given registers.
func Regs(regs ...asm.Register) RegSet {
	var s RegSet
	for _, r := range regs {
		s |= 1 << (r & 15)
	}
	return s
}

// Has reports whether r is in the set.
func (s RegSet) Has(r asm.Register) bool { return s>>(r&15)&1 != 0 }

// Len returns the number of registers.
func (s RegSet) Len() int { return bits.OnesCount16(uint16(s)) }

func (s RegSet) String() string {
	var names []string
	for r := asm.R0; r <= asm.R10; r++ {
		if s.Has(r) {
			names = append(names, r.String())
		}
	}
	return "{" + strings.Join(names, " ") + "}"
}

// Effect is what an instruction does with registers.
type Effect struct {
	// Use holds registers whose value it needs, or for calls may need.
	Use RegSet
	// Def holds registers that have a new value afterwards.
	Def RegSet
	// Kill holds registers that have none afterwards until they are written again.
	Kill RegSet
}

// loadAcquire is the atomic operation that reads where all others write.
var loadAcquire = asm.LoadAcquire(asm.R0, asm.R0, asm.DWord, 0).OpCode.AtomicOp()

// EffectOf returns what ins does with registers.
func EffectOf(ins *asm.Instruction) Effect {
	switch class := ins.OpCode.Class(); {
	case class.IsALU():
		return aluEffect(ins)
	case class.IsJump():
		return jumpEffect(ins)
	case class == asm.LdClass:
		return ldEffect(ins)
	case class == asm.LdXClass:
		return Effect{Use: Regs(ins.Src), Def: Regs(ins.Dst)}
	case class == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode:
		return atomicEffect(ins)
	case class == asm.StXClass:
		return Effect{Use: Regs(ins.Dst, ins.Src)}
	default:
		return Effect{Use: Regs(ins.Dst)}
	}
}

func aluEffect(ins *asm.Instruction) Effect {
	e := Effect{Def: Regs(ins.Dst)}
	switch op := ins.OpCode.ALUOp(); {
	case op == asm.Swap || op == asm.Neg:
		// Their source bit is not about a register.
		e.Use = Regs(ins.Dst)
		return e
	case !isMove(op):
		e.Use = Regs(ins.Dst)
	}
	if ins.OpCode.Source() == asm.RegSource {
		e.Use |= Regs(ins.Src)
	}
	return e
}

func isMove(op asm.ALUOp) bool {
	switch op {
	case asm.Mov, asm.MovSX8, asm.MovSX16, asm.MovSX32:
		return true
	}
	return false
}

func jumpEffect(ins *asm.Instruction) Effect {
	switch ins.OpCode.JumpOp() {
	case asm.Call:
		return Effect{Use: Args, Def: Regs(asm.R0), Kill: Args}
	case asm.Exit:
		return Effect{Use: Regs(asm.R0)}
	case asm.Ja, asm.JCOND:
		return Effect{}
	}
	e := Effect{Use: Regs(ins.Dst)}
	if ins.OpCode.Source() == asm.RegSource {
		e.Use |= Regs(ins.Src)
	}
	return e
}

func ldEffect(ins *asm.Instruction) Effect {
	if !IsPacketLoad(ins) {
		return Effect{Def: Regs(ins.Dst)}
	}
	e := Effect{Use: Regs(asm.R6), Def: Regs(asm.R0), Kill: Args}
	if ins.OpCode.Mode() == asm.IndMode {
		e.Use |= Regs(ins.Src)
	}
	return e
}

func atomicEffect(ins *asm.Instruction) Effect {
	switch ins.OpCode.AtomicOp() {
	case loadAcquire:
		return Effect{Use: Regs(ins.Src), Def: Regs(ins.Dst)}
	case asm.CmpXchg:
		return Effect{Use: Regs(ins.Dst, ins.Src, asm.R0), Def: Regs(asm.R0)}
	case asm.FetchAdd, asm.FetchAnd, asm.FetchOr, asm.FetchXor, asm.Xchg:
		return Effect{Use: Regs(ins.Dst, ins.Src), Def: Regs(ins.Src)}
	}
	return Effect{Use: Regs(ins.Dst, ins.Src)}
}

// Mentioned returns the registers that f reads or writes anywhere. A register of
// r6 to r9 that is not among them is free throughout the function.
func (f *Func) Mentioned() RegSet {
	var all RegSet
	for i := range f.Insns {
		e := EffectOf(&f.Insns[i])
		all |= e.Use | e.Def | e.Kill
	}
	return all
}
