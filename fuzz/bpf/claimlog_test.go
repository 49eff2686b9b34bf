package bpf

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
)

// explained is a program in whose log there is something of each kind that is read:
// numbers of all sizes, signed and unsigned, masks, a loop, paths that are given up,
// registers on the stack, a function that is called and compares two registers.
func explained() asm.Instructions {
	jump := func(op asm.JumpOp, dst asm.Register, value int32, label string) asm.Instruction {
		return op.Imm(dst, value, label)
	}
	return asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, 0, asm.Word).WithSymbol("explained"),
		asm.LoadMem(asm.R7, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Add.Imm(asm.R1, 14),
		asm.JGT.Reg(asm.R1, asm.R7, "out"),
		asm.LoadMem(asm.R2, asm.R6, 0, asm.Byte),
		asm.And.Imm(asm.R2, 15),
		asm.LoadMem(asm.R3, asm.R6, 2, asm.Half),
		jump(asm.JSGT, asm.R3, 1543, "large"),
		asm.LSh.Imm(asm.R3, 2),
		asm.Or.Imm(asm.R3, 1),
		asm.Sub.Imm(asm.R3, 100),
		asm.LoadMem(asm.R4, asm.R6, 4, asm.Word).WithSymbol("large"),
		asm.StoreMem(asm.R10, -8, asm.R4, asm.DWord),
		jump(asm.JSLT, asm.R4, 5, "few"),
		asm.LoadMem(asm.R5, asm.R10, -8, asm.DWord),
		asm.RSh.Imm(asm.R5, 28),
		asm.Neg.Imm32(asm.R5, 0),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("few"),
		asm.Mov.Imm(asm.R8, 0),
		asm.Add.Imm(asm.R8, 1).WithSymbol("loop"),
		jump(asm.JLT, asm.R8, 3, "loop"),
		asm.Mov.Reg(asm.R1, asm.R2),
		asm.Mov.Reg(asm.R2, asm.R4),
		asm.Call.Label("larger"),
		asm.And.Imm(asm.R0, 1),
		asm.Add.Imm(asm.R0, 1),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("out"),
		asm.Return(),
		asm.JGE.Reg(asm.R1, asm.R2, "first").WithSymbol("larger"),
		asm.Mov.Reg(asm.R1, asm.R2),
		asm.Mov.Reg(asm.R0, asm.R1).WithSymbol("first"),
		asm.Return(),
	}
}

// The log of this kernel is read, whichever it is. It is what the golden logs of the
// package verifier are made of.
func TestLogOfThisKernel(t *testing.T) {
	needKernel(t)
	prog, err := ebpf.NewProgramWithOptions(
		&ebpf.ProgramSpec{Name: "explained", Type: ebpf.XDP, Instructions: explained(), License: "MIT"}, ebpf.ProgramOptions{LogLevel: fullLog})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	for line := range strings.Lines(prog.VerifierLog) {
		t.Logf("log|%s", strings.TrimSuffix(line, "\n"))
	}
	log, err := verifier.Read(prog.VerifierLog)
	if err != nil {
		t.Fatal(err)
	}
	// Behind r2 &= 15.
	c := log.Edges[verifier.Edge{From: 6, To: 7}]
	if c == nil || c.Known&(1<<2) == 0 || c.Bounds[2].Umax != 15 {
		t.Errorf("of a number below 16 the log says %+v", c)
	}
}
