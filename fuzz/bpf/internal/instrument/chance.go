package instrument

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// The value of the map from which helpers for time and chance are answered, when
// they are virtual.
const (
	// ChanceRoom is how many bytes a step may bring.
	ChanceRoom = 64
	// ChanceSize is the size of the value.
	ChanceSize = chanceBytes + ChanceRoom

	chanceCursor = 0 // u32: how many bytes have been used
	chanceCPU    = 4 // u32: one more than the processor, 0 before it was asked for
	chanceNow    = 8 // u64: the time in nanoseconds
	chanceBytes  = 16

	// boot is what the clock says when an input begins: programs take 0 for no time.
	boot = 1 << 32
	// tick is the length of a jiffy in nanoseconds.
	tick = 4_000_000
)

// BeginChance sets the clock in the map's value back, for a new input.
func BeginChance(value []byte) { binary.NativeEndian.PutUint64(value[chanceNow:], boot) }

// SetChance makes the value answer from the bytes of a new step.
func SetChance(value, chance []byte) {
	clear(value[:chanceNow])
	n := copy(value[chanceBytes:ChanceSize], chance)
	clear(value[chanceBytes+n : ChanceSize])
}

// IsVirtual reports whether a helper can be answered from an input: those that
// return chance, the time and the processor, and take no argument.
//
// Each uses bytes of the step, in the order of the calls, and has zeros when they are
// used up. The time goes on by the lower 48 bits of 8 bytes, in nanoseconds, whichever
// clock is asked. The processor, 1 byte, stays the same during a step.
func IsVirtual(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnGetPrandomU32, asm.FnKtimeGetNs, asm.FnKtimeGetBootNs, asm.FnKtimeGetCoarseNs, asm.FnKtimeGetTaiNs,
		asm.FnJiffies64, asm.FnGetSmpProcessorId:
		return true
	}
	return false
}

// Chance says from where virtual helpers are answered. The zero value leaves helpers
// as they are.
type Chance struct {
	// Map is the name of the map, which the caller adds to the collection.
	Map string
	// CPUs is how many processors there are; 0 leaves the helper that asks for the
	// processor as it is.
	CPUs int
	// Clock is the name of a map whose value is the time; "" means that it is in Map.
	Clock string
}

// Answer returns code that has the effect of calling a helper, nil where it is left as
// it is.
func (c *Chance) Answer(fn asm.BuiltinFunc) asm.Instructions {
	if !IsVirtual(fn) || fn == asm.FnGetSmpProcessorId && c.CPUs <= 0 {
		return nil
	}
	return c.answer(fn)
}

// Clock returns the value of a map of the time when an input begins.
func Clock() []byte { return binary.NativeEndian.AppendUint64(nil, boot) }

// answers reports whether calls of a helper are replaced.
func (c *Chance) answers(ins *asm.Instruction) bool {
	if !ins.IsBuiltinCall() {
		return false
	}
	fn := asm.BuiltinFunc(ins.Constant)
	return IsVirtual(fn) && (fn != asm.FnGetSmpProcessorId || c.CPUs > 0)
}

// virtual returns what takes the place of calls in a function.
func (c *Chance) virtual(f *cfg.Func) []insertion {
	if c.Map == "" {
		return nil
	}
	var list []insertion
	for i := range f.Insns {
		if ins := &f.Insns[i]; c.answers(ins) {
			list = append(list, insertion{place: instead, insn: i, code: c.answer(asm.BuiltinFunc(ins.Constant))})
		}
	}
	return list
}

// answer returns code that has the effect of calling a helper: r0 is the result, and r1
// to r5 have no value that anybody reads.
func (c *Chance) answer(fn asm.BuiltinFunc) asm.Instructions {
	code := newCoder()
	code.add(address(asm.R1, c.Map, 0))
	switch fn {
	case asm.FnGetPrandomU32:
		takeChance(code, asm.Word)
	case asm.FnGetSmpProcessorId:
		c.processor(code)
	default:
		takeChance(code, asm.DWord)
		now := int16(chanceNow)
		if c.Clock != "" {
			now = 0
			code.add(address(asm.R1, c.Clock, 0))
		}
		code.add(
			asm.LSh.Imm(asm.R0, 16), asm.RSh.Imm(asm.R0, 16),
			asm.LoadMem(asm.R2, asm.R1, now, asm.DWord),
			asm.Add.Reg(asm.R0, asm.R2),
			asm.StoreMem(asm.R1, now, asm.R0, asm.DWord))
		if fn == asm.FnJiffies64 {
			code.add(asm.Div.Imm(asm.R0, tick))
		}
	}
	return code.finish()
}

// takeChance takes bytes of the step, with the address of the value in r1.
func takeChance(code *coder, size asm.Size) {
	over := code.fresh()
	code.add(asm.LoadMem(asm.R2, asm.R1, chanceCursor, asm.Word), asm.Mov.Imm(asm.R0, 0))
	code.when(asm.R2, asm.JGT, int32(ChanceRoom-size.Sizeof()), over)
	code.add(
		asm.Mov.Reg(asm.R3, asm.R1), asm.Add.Reg(asm.R3, asm.R2),
		asm.LoadMem(asm.R0, asm.R3, chanceBytes, size),
		asm.Add.Imm(asm.R2, int32(size.Sizeof())),
		asm.StoreMem(asm.R1, chanceCursor, asm.R2, asm.Word))
	code.label(over)
}

// processor answers with the same number during a step. The verifier knows that the
// helper's is below the number of processors, so it is to see that here as well.
func (c *Chance) processor(code *coder) {
	code.add(asm.LoadMem(asm.R0, asm.R1, chanceCPU, asm.Word))
	code.when(asm.R0, asm.JNE, 0, "known")
	takeChance(code, asm.Byte)
	code.add(asm.Mod.Imm(asm.R0, int32(c.CPUs)), asm.Add.Imm(asm.R0, 1), asm.StoreMem(asm.R1, chanceCPU, asm.R0, asm.Word))
	code.label("known")
	code.add(asm.Add.Imm(asm.R0, -1))
	code.when(asm.R0, asm.JLT, int32(c.CPUs), "bounded")
	code.add(asm.Mov.Imm(asm.R0, 0))
	code.label("bounded")
}

// loadChance has the prologue of batches do what SetChance and, for the first step
// of an input, BeginChance do.
func (b *batchCode) loadChance() {
	if b.chance == "" {
		return
	}
	b.add(address(asm.R4, b.chance, 0), asm.StoreImm(asm.R4, chanceCursor, 0, asm.Word), asm.StoreImm(asm.R4, chanceCPU, 0, asm.Word))
	b.load(asm.R2, DescFlags, asm.Half)
	b.add(asm.And.Imm(asm.R2, DescBegins))
	b.when(asm.R2, asm.JEq, 0, "same input")
	b.add(asm.LoadImm(asm.R2, boot, asm.DWord), asm.StoreMem(asm.R4, chanceNow, asm.R2, asm.DWord))
	b.label("same input")
	b.buffer(asm.R3, DescIn, b.l.inMask(), b.l.In+b.l.chanceAt())
	for at := int16(0); at < ChanceRoom; at += 8 {
		b.add(asm.LoadMem(asm.R2, asm.R3, at, asm.DWord), asm.StoreMem(asm.R4, chanceBytes+at, asm.R2, asm.DWord))
	}
}
