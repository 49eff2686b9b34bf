// Package disasm writes instructions the way the verifier's log and bpftool do, so
// that a line of ours can be found in theirs.
package disasm

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/cilium/ebpf/asm"
)

// Text returns one instruction as text, without its address. Names of maps and
// functions stand where the instruction has them: loaded programs name maps by id.
// It is total: what is no instruction is shown as its opcode.
func Text(ins *asm.Instruction) string {
	class := ins.OpCode.Class()
	switch {
	case class.IsALU():
		return alu(ins)
	case class.IsJump():
		return jump(ins)
	case class == asm.LdClass:
		return load(ins)
	case class == asm.LdXClass:
		return loadMem(ins)
	case class == asm.StClass && ins.OpCode.Mode() == asm.MemMode:
		return fmt.Sprintf("%s = %d", memory(ins, ins.Dst), ins.Constant)
	case class == asm.StXClass && ins.OpCode.Mode() == asm.MemMode:
		return fmt.Sprintf("%s = %s", memory(ins, ins.Dst), wide(ins.Src))
	case class == asm.StXClass && ins.OpCode.AtomicOp() != asm.InvalidAtomic:
		return atomic(ins)
	}
	return unknown(ins)
}

func unknown(ins *asm.Instruction) string {
	if ins.OpCode == 0xc0 { // BPF_ST | BPF_NOSPEC, which the verifier inserts
		return "nospec"
	}
	return fmt.Sprintf("opcode %#x", uint32(ins.OpCode))
}

// wide and narrow name a register as a whole and its lower half.
func wide(r asm.Register) string   { return fmt.Sprintf("r%d", uint8(r)) }
func narrow(r asm.Register) string { return fmt.Sprintf("w%d", uint8(r)) }

func registers(class asm.Class) func(asm.Register) string {
	if class == asm.ALUClass || class == asm.Jump32Class {
		return narrow
	}
	return wide
}

// operand is the second operand of arithmetic.
func operand(ins *asm.Instruction, name func(asm.Register) string) string {
	if ins.OpCode.Source() == asm.RegSource {
		return name(ins.Src)
	}
	return fmt.Sprint(int32(ins.Constant))
}

func alu(ins *asm.Instruction) string {
	op, name := ins.OpCode.ALUOp(), registers(ins.OpCode.Class())
	dst := name(ins.Dst)
	switch op {
	case asm.Mov:
		if ins.Offset == 1 && ins.OpCode.Class() == asm.ALU64Class {
			return fmt.Sprintf("%s = addr_space_cast(%s, %d, %d)", dst, wide(ins.Src), uint32(ins.Constant)>>16, uint16(ins.Constant))
		}
		return dst + " = " + operand(ins, name)
	case asm.MovSX8, asm.MovSX16, asm.MovSX32:
		bits := map[asm.ALUOp]int{asm.MovSX8: 8, asm.MovSX16: 16, asm.MovSX32: 32}[op]
		return fmt.Sprintf("%s = (s%d)%s", dst, bits, name(ins.Src))
	case asm.Neg:
		return fmt.Sprintf("%s = -%s", dst, dst)
	case asm.Swap:
		return swap(ins)
	}
	if sign := operator(op); sign != "" {
		return fmt.Sprintf("%s %s= %s", dst, sign, operand(ins, name))
	}
	return unknown(ins)
}

func operator(op asm.ALUOp) string {
	return map[asm.ALUOp]string{
		asm.Add: "+", asm.Sub: "-", asm.Mul: "*", asm.Div: "/", asm.SDiv: "s/", asm.Mod: "%", asm.SMod: "s%", asm.Or: "|",
		asm.And: "&", asm.LSh: "<<", asm.RSh: ">>", asm.ArSh: "s>>", asm.Xor: "^",
	}[op]
}

func swap(ins *asm.Instruction) string {
	kind := "le"
	switch {
	case ins.OpCode.Class() == asm.ALU64Class:
		kind = "bswap"
	case ins.OpCode.Endianness() == asm.BE:
		kind = "be"
	}
	return fmt.Sprintf("%s = %s%d %s", wide(ins.Dst), kind, ins.Constant, wide(ins.Dst))
}

func jump(ins *asm.Instruction) string {
	op := ins.OpCode.JumpOp()
	switch op {
	case asm.Exit:
		return "exit"
	case asm.Call:
		return call(ins)
	case asm.Ja:
		switch {
		case ins.OpCode.Source() == asm.RegSource:
			return "gotox " + wide(ins.Dst)
		case ins.OpCode.Class() == asm.Jump32Class:
			return fmt.Sprintf("gotol pc%+d", int32(ins.Constant))
		}
		return fmt.Sprintf("goto pc%+d", ins.Offset)
	case asm.JCOND:
		return fmt.Sprintf("may_goto pc%+d", ins.Offset)
	}
	sign, name := comparison(op), registers(ins.OpCode.Class())
	if sign == "" {
		return unknown(ins)
	}
	other := fmt.Sprintf("%#x", uint32(ins.Constant)) // hexadecimal only here, as the kernel has it
	if ins.OpCode.Source() == asm.RegSource {
		other = name(ins.Src)
	}
	return fmt.Sprintf("if %s %s %s goto pc%+d", name(ins.Dst), sign, other, ins.Offset)
}

func comparison(op asm.JumpOp) string {
	return map[asm.JumpOp]string{
		asm.JEq: "==", asm.JNE: "!=", asm.JGT: ">", asm.JGE: ">=", asm.JLT: "<", asm.JLE: "<=", asm.JSGT: "s>",
		asm.JSGE: "s>=", asm.JSLT: "s<", asm.JSLE: "s<=", asm.JSet: "&",
	}[op]
}

func call(ins *asm.Instruction) string {
	switch {
	case ins.IsKfuncCall():
		return "call kernel function " + named(ins, int64(uint32(ins.Constant)))
	case ins.IsFunctionCall():
		if ref := ins.Reference(); ref != "" {
			return "call " + ref
		}
		return fmt.Sprintf("call pc%+d", Callee(ins))
	case ins.OpCode.Source() == asm.RegSource:
		return "callx " + wide(ins.Dst)
	}
	if ref := ins.Reference(); ref != "" { // a loaded program has an address, and no number
		return "call " + ref
	}
	return fmt.Sprintf("call %s#%d", Helper(asm.BuiltinFunc(ins.Constant)), ins.Constant)
}

// named returns what an instruction refers to, by name where that is known.
func named(ins *asm.Instruction, id int64) string {
	if ref := ins.Reference(); ref != "" {
		return ref
	}
	return fmt.Sprintf("#%d", id)
}

// Helper returns a helper's name in C, such as "bpf_map_lookup_elem".
func Helper(fn asm.BuiltinFunc) string {
	name, ok := strings.CutPrefix(fn.String(), "Fn")
	if !ok {
		return "helper"
	}
	var b strings.Builder
	b.WriteString("bpf")
	for i, r := range name {
		if unicode.IsUpper(r) || i == 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Callee returns by how many slots a call jumps to a function of the same program.
// Programs read back from the kernel have it in the offset, others in the constant.
func Callee(ins *asm.Instruction) int {
	if ins.Offset != 0 {
		return int(ins.Offset)
	}
	return int(int32(ins.Constant))
}

// pseudoBTF marks a load of a kernel variable's address (BPF_PSEUDO_BTF_ID).
const pseudoBTF = asm.R3

func load(ins *asm.Instruction) string {
	size := ins.OpCode.Size().Sizeof() * 8
	switch ins.OpCode.Mode() {
	case asm.AbsMode:
		return fmt.Sprintf("r0 = *(u%d *)skb[%d]", size, ins.Constant)
	case asm.IndMode:
		return fmt.Sprintf("r0 = *(u%d *)skb[%s + %d]", size, wide(ins.Src), ins.Constant)
	}
	if !ins.OpCode.IsDWordLoad() {
		return unknown(ins)
	}
	dst := wide(ins.Dst)
	switch ins.Src {
	case asm.PseudoMapFD:
		return fmt.Sprintf("%s = map[%s]", dst, mapName(ins))
	case asm.PseudoMapValue:
		return fmt.Sprintf("%s = map[%s][0]+%d", dst, mapName(ins), uint64(ins.Constant)>>32)
	case asm.PseudoFunc:
		if ref := ins.Reference(); ref != "" {
			return fmt.Sprintf("%s = func %s", dst, ref)
		}
		return fmt.Sprintf("%s = subprog[%+d]", dst, ins.Constant)
	case pseudoBTF:
		return fmt.Sprintf("%s = ksym[%s]", dst, named(ins, int64(int32(ins.Constant))))
	}
	return fmt.Sprintf("%s = %#x ll", dst, uint64(ins.Constant))
}

func mapName(ins *asm.Instruction) string {
	if ref := ins.Reference(); ref != "" {
		return ref
	}
	return fmt.Sprintf("id:%d", uint32(ins.Constant))
}

func loadMem(ins *asm.Instruction) string {
	sign := 'u'
	switch ins.OpCode.Mode() {
	case asm.MemMode:
	case asm.MemSXMode:
		sign = 's'
	default:
		return unknown(ins)
	}
	return fmt.Sprintf("%s = *(%c%d *)(%s %+d)", wide(ins.Dst), sign, ins.OpCode.Size().Sizeof()*8, wide(ins.Src), ins.Offset)
}

// memory is what a store writes.
func memory(ins *asm.Instruction, base asm.Register) string {
	return fmt.Sprintf("*(u%d *)(%s %+d)", ins.OpCode.Size().Sizeof()*8, wide(base), ins.Offset)
}

func atomic(ins *asm.Instruction) string {
	size := ins.OpCode.Size().Sizeof() * 8
	place := fmt.Sprintf("(u%d *)(%s %+d)", size, wide(ins.Dst), ins.Offset)
	src, name := wide(ins.Src), "atomic"
	if size == 64 {
		name = "atomic64"
	}
	op := ins.OpCode.AtomicOp()
	if sign := plainAtomic(op); sign != "" {
		return fmt.Sprintf("lock *%s %s= %s", place, sign, src)
	}
	switch op {
	case asm.Xchg:
		return fmt.Sprintf("%s = %s_xchg(%s, %s)", src, name, place, src)
	case asm.CmpXchg:
		return fmt.Sprintf("r0 = %s_cmpxchg(%s, r0, %s)", name, place, src)
	case loadAcquire:
		return fmt.Sprintf("%s = load_acquire((u%d *)(%s %+d))", wide(ins.Dst), size, src, ins.Offset)
	case storeRelease:
		return fmt.Sprintf("store_release(%s, %s)", place, src)
	}
	if word := fetching(op); word != "" {
		return fmt.Sprintf("%s = %s_fetch_%s(%s, %s)", src, name, word, place, src)
	}
	return unknown(ins)
}

// Atomic operations that the library does not export.
const (
	loadAcquire  asm.AtomicOp = 0x100 << 8
	storeRelease asm.AtomicOp = 0x110 << 8
)

func plainAtomic(op asm.AtomicOp) string {
	return map[asm.AtomicOp]string{asm.AddAtomic: "+", asm.AndAtomic: "&", asm.OrAtomic: "|", asm.XorAtomic: "^"}[op]
}

func fetching(op asm.AtomicOp) string {
	return map[asm.AtomicOp]string{asm.FetchAdd: "add", asm.FetchAnd: "and", asm.FetchOr: "or", asm.FetchXor: "xor"}[op]
}
