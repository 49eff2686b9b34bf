// Package magic has a program that fuzz targets of several packages look into.
package magic

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Spec is an XDP program that returns XDP_TX for packets with four bytes behind the
// Ethernet header, which it looks at one after the other.
func Spec() *ebpf.CollectionSpec {
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word).WithSymbol("magic"),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Imm(asm.R0, 2),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 18),
		jump(asm.JGT.Reg(asm.R4, asm.R3, ""), 9),
	}
	for i, b := range []byte("\x7f\x40\x20\x10") {
		ins = append(ins, asm.LoadMem(asm.R5, asm.R2, int16(14+i), asm.Byte), jump(asm.JNE.Imm(asm.R5, int32(b), ""), int16(7-2*i)))
	}
	ins = append(ins, asm.Mov.Imm(asm.R0, 3), asm.Return())
	return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"magic": {Name: "magic", Type: ebpf.XDP, License: "GPL", Instructions: ins},
	}}
}

// jump gives a jump its offset, as an object has it.
func jump(ins asm.Instruction, offset int16) asm.Instruction {
	ins.Offset = offset
	return ins
}
