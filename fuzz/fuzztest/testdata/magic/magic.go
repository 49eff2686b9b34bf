// Package magic has a program that fuzz targets of several packages look into.
package magic

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Spec is an XDP program that returns XDP_TX for packets with n bytes, at most four,
// behind the Ethernet header, which it looks at one after the other. The last three have
// one bit each.
func Spec(n int) *ebpf.CollectionSpec {
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word).WithSymbol("magic"),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Imm(asm.R0, 2),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(14+n)),
		jump(asm.JGT.Reg(asm.R4, asm.R3, ""), int16(2*n+1)),
	}
	for i, b := range []byte("\x7f\x40\x20\x10")[4-n:] {
		ins = append(ins, asm.LoadMem(asm.R5, asm.R2, int16(14+i), asm.Byte), jump(asm.JNE.Imm(asm.R5, int32(b), ""), int16(2*(n-i)-1)))
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
