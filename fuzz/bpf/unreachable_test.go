package bpf

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestUnreachable has a comparison of which the verifier knows the outcome and one of
// which it does not.
func TestUnreachable(t *testing.T) {
	needKernel(t)
	target := targetOf(t, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, xdpOffIngress, asm.Word).WithSymbol("dead"),
		asm.Mov.Imm(asm.R0, 1),
		asm.And.Imm(asm.R2, 7),
		jumpImm(asm.JGT, asm.R2, 7, 2),
		jumpImm(asm.JGT, asm.R2, 3, 2),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 3),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
	})
	gone, err := target.Unreachable()
	if err != nil {
		t.Fatal(err)
	}
	if gone == nil {
		t.Skip("the kernel hides the code of programs")
	}
	var dead []int
	for i, g := range gone {
		if g {
			dead = append(dead, target.table.Edges[i].To)
		}
	}
	if !slices.Equal(dead, []int{6}) {
		t.Errorf("edges to %v are said to be unreachable, want the one to 6: %+v", dead, target.table.Edges)
	}
}

func jumpImm(op asm.JumpOp, dst asm.Register, value int64, off int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: dst, Constant: value, Offset: off}
}
