package instrument

import (
	"testing"

	"github.com/cilium/ebpf/asm"
)

// Every exit of the entry function records its result, those of others do not, and
// jumps lead to the code in front of the exit.
func TestResults(t *testing.T) {
	code := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0).WithSymbol("main"),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq), Dst: asm.R1, Offset: 2},
		asm.Mov.Imm(asm.R0, 1),
		asm.Return(),
		asm.Return(), // jumped to
		asm.Mov.Imm(asm.R0, 2).WithSymbol("sub"),
		asm.Return(),
	}
	out, err := Results(code, "results")
	if err != nil {
		t.Fatal(err)
	}
	each := len(record("results"))
	if want := len(code) + 2*each; len(out) != want {
		t.Fatalf("%d instructions, want %d", len(out), want)
	}
	first, second := 3, 3+each+1
	for _, at := range []int{first, second} {
		if out[at].Reference() != "results" || out[at+each].OpCode.JumpOp() != asm.Exit {
			t.Errorf("instruction %d does not begin to record before an exit: %v", at, out[at])
		}
	}
	// The jump goes over the first exit with its code, whose address takes two slots.
	if want := int16(1 + each + 1 + 1); out[1].Offset != want {
		t.Errorf("jumps over %d slots, want %d", out[1].Offset, want)
	}
	if out[len(out)-2].Symbol() != "sub" || out[len(out)-2].Constant != 2 {
		t.Errorf("the second function begins with %v", out[len(out)-2])
	}
	if _, err := Results(code[:3], "results"); err == nil {
		t.Error("a program that ends nowhere was taken")
	}
}
