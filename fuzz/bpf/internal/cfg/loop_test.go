package cfg

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
)

func TestLoops(t *testing.T) {
	when := func(off int16) asm.Instruction {
		return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R1, Offset: off}
	}
	jump := func(off int16) asm.Instruction {
		return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: off}
	}
	set := asm.Mov.Imm(asm.R0, 0)
	for _, tt := range []struct {
		name string
		code asm.Instructions
		want []bool // by block
	}{
		{"straight", asm.Instructions{set, asm.Return()}, []bool{false}},
		{"diamond", asm.Instructions{when(1), set, asm.Return()}, []bool{false, false, false}},
		{"a block that jumps to itself", asm.Instructions{set, set, when(-2), asm.Return()}, []bool{false, true, false}},
		{"two blocks", asm.Instructions{set, when(1), jump(-2), asm.Return()}, []bool{false, true, true, false}},
		{"a loop in a loop, a way out of both", asm.Instructions{set, when(-1), when(-3), when(1), asm.Return(), asm.Return()}, []bool{true, true, true, false, false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.code[0] = tt.code[0].WithSymbol("f")
			funcs, err := Split(tt.code)
			if err != nil {
				t.Fatal(err)
			}
			if got := funcs[0].Loops(); !slices.Equal(got, tt.want) {
				t.Errorf("blocks in loops %v, want %v", got, tt.want)
			}
		})
	}
}
