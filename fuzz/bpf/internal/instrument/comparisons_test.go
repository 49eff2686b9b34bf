package instrument

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

func compareRegs(op asm.JumpOp, a, b asm.Register) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: a, Src: b}
}

// xdpFields are where an xdp_md has its packet.
var xdpFields = PacketFields{Data: 0, End: 4, Meta: 8, Len: -1}

func analyzed(t *testing.T, fields PacketFields, code asm.Instructions) *Plan {
	t.Helper()
	p, err := Analyze([]Program{{Name: "p", Instructions: code}}, Options{Packet: &fields})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIsAComparison(t *testing.T) {
	load := func(dst asm.Register, off int16) asm.Instruction { return asm.LoadMem(dst, asm.R1, off, asm.Word) }
	type want struct{ length, swapped bool }
	for _, tt := range []struct {
		name string
		code asm.Instructions
		want []want
	}{
		{"a number", asm.Instructions{load(asm.R2, 12), branch(asm.JEq, asm.R2, 7, 0)}, []want{{}}},
		{"a place and the end", asm.Instructions{load(asm.R2, 0), load(asm.R3, 4), asm.Add.Imm(asm.R2, 14), compareRegs(asm.JGT, asm.R2, asm.R3)}, []want{{length: true}}},
		{"the end and a place", asm.Instructions{load(asm.R2, 0), load(asm.R3, 4), compareRegs(asm.JLT, asm.R3, asm.R2)}, []want{{length: true, swapped: true}}},
		{"what is left", asm.Instructions{load(asm.R2, 0), load(asm.R3, 4), asm.Sub.Reg(asm.R3, asm.R2), branch(asm.JLT, asm.R3, 14, 0)}, []want{{length: true, swapped: true}}},
		{"through the stack", asm.Instructions{
			load(asm.R2, 0), load(asm.R3, 4), asm.StoreMem(asm.R10, -8, asm.R3, asm.DWord), asm.Mov.Imm(asm.R3, 0), asm.LoadMem(asm.R3, asm.R10, -8, asm.DWord),
			compareRegs(asm.JGT, asm.R2, asm.R3),
		}, []want{{length: true}}},
		{"whether a helper gave an address", asm.Instructions{asm.FnRingbufReserve.Call(), branch(asm.JEq, asm.R0, 0, 0)}, nil},
		{"what a helper returned", asm.Instructions{asm.FnXdpAdjustHead.Call(), branch(asm.JNE, asm.R0, 0, 0)}, []want{{}}},
		{"an address on the stack", asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), load(asm.R3, 12), compareRegs(asm.JEq, asm.R2, asm.R3)}, nil},
		{"may_goto", asm.Instructions{{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JCOND)}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := append(append(asm.Instructions{}, tt.code...), asm.Mov.Imm(asm.R0, 0), asm.Return())
			code[0] = code[0].WithSymbol("p")
			var got []want
			for _, c := range analyzed(t, xdpFields, code).Table(Full).Comparisons {
				got = append(got, want{c.Length, c.Swapped})
			}
			if len(got) != len(tt.want) || len(got) == 1 && got[0] != tt.want[0] {
				t.Errorf("comparisons %+v, want %+v", got, tt.want)
			}
		})
	}
}

// What functions get and return is followed.
func TestComparisonsInFunctions(t *testing.T) {
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 4, asm.Word).WithSymbol("p"),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.Word),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoCall, Constant: -1}.WithReference("skip"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Add.Imm(asm.R1, 20).WithSymbol("skip"),
		compareRegs(asm.JGT, asm.R1, asm.R2),
		asm.Mov.Imm(asm.R0, 1),
		asm.Return(),
	}
	list := analyzed(t, xdpFields, code).Table(Full).Comparisons
	if len(list) != 1 || !list[0].Length || list[0].Swapped || list[0].Func != "skip" || list[0].At != 1 {
		t.Errorf("comparisons %+v", list)
	}
}

// Thousands of comparisons take memory in proportion, up to a limit, and at lower
// rungs there are fewer.
func TestManyComparisons(t *testing.T) {
	code := asm.Instructions{asm.LoadMem(asm.R2, asm.R1, 12, asm.Word).WithSymbol("p")}
	const many = maxOperands + 100
	for i := range many {
		code = append(code, branch(asm.JEq, asm.R2, int32(i), 0))
	}
	p := analyzed(t, xdpFields, append(code, asm.Mov.Imm(asm.R0, 0), asm.Return()))
	if n := len(p.Table(Full).Comparisons); n != many {
		t.Errorf("%d comparisons, want %d", n, many)
	}
	for _, tt := range []struct {
		rung Rung
		want int
	}{{Full, maxOperands}, {Half, many / 2}, {Eighth, (many + 7) / 8}, {None, 0}} {
		l := p.Layout(tt.rung, Compare)
		if len(l.Operands) != tt.want || l.Size > 2<<20+8 {
			t.Errorf("%s: %d comparisons are logged in %d bytes, want %d", tt.rung, len(l.Operands), l.Size, tt.want)
		}
	}
	if table := p.Table(None); len(table.Comparisons) > 0 {
		t.Error("a program that is not instrumented has comparisons")
	}
}

func TestRelations(t *testing.T) {
	for op, want := range map[asm.JumpOp]cover.Comparison{
		asm.JEq:  {Relation: cover.Equal},
		asm.JNE:  {Relation: cover.NotEqual},
		asm.JSet: {Relation: cover.AnyBit},
		asm.JGT:  {Relation: cover.Greater},
		asm.JGE:  {Relation: cover.GreaterEqual},
		asm.JLT:  {Relation: cover.Less},
		asm.JLE:  {Relation: cover.LessEqual},
		asm.JSGT: {Relation: cover.Greater, Signed: true},
		asm.JSGE: {Relation: cover.GreaterEqual, Signed: true},
		asm.JSLT: {Relation: cover.Less, Signed: true},
		asm.JSLE: {Relation: cover.LessEqual, Signed: true},
	} {
		var c comparison
		if !c.setRelation(op) || c.Relation != want.Relation || c.Signed != want.Signed {
			t.Errorf("%v is %v, signed %v", op, c.Relation, c.Signed)
		}
	}
}
