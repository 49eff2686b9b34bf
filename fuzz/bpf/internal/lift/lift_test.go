package lift

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// xdp is the layout of xdp_md.
func xdp(offset, size int) (Member, string) {
	switch offset {
	case 0:
		return Data, ""
	case 4:
		return DataEnd, ""
	case 8:
		return DataMeta, ""
	case 20:
		return Length, ""
	}
	return Field, fmt.Sprintf("field%d", offset)
}

func branch(op asm.JumpOp, dst asm.Register, value int32, off int16) asm.Instruction {
	ins := op.Imm(dst, value, "").WithReference("")
	ins.Offset = off
	return ins
}

// text writes an operand as its source and what is done to it.
func text(o cover.Operand) string {
	names := [...]string{"?", "fixed", "packet", "context", "meta", "map", "helper", "length", "entry"}
	actions := [...]string{"and", "or", "xor", "add", "mul", "lsh", "rsh", "arsh", "swap", "sext", "neg", "cut"}
	var b strings.Builder
	b.WriteString(names[o.Source])
	switch {
	case o.Source == cover.Elsewhere:
		return b.String()
	case o.Source == cover.Fixed:
		return fmt.Sprintf("fixed %#x", o.Value)
	}
	if o.Name != "" {
		fmt.Fprintf(&b, " %s", o.Name)
	}
	fmt.Fprintf(&b, "[%d:%d]", o.Offset, o.Size)
	for _, t := range o.Transforms {
		fmt.Fprintf(&b, " %s %#x", actions[t.Action], t.Value)
	}
	return b.String()
}

// analyze runs a program whose first functions begin with symbols; what it compares
// are the conditional jumps of the first one.
func analyze(t *testing.T, opts Options, insns ...asm.Instruction) []string {
	t.Helper()
	if insns[0].Symbol() == "" {
		insns[0] = insns[0].WithSymbol("main")
	}
	funcs, err := cfg.Split(insns)
	if err != nil {
		t.Fatal(err)
	}
	p := Analyze(funcs, opts)
	var list []string
	for i := range funcs[0].Insns {
		if cfg.IsBranch(&funcs[0].Insns[i]) {
			a, b := p.Operands(0, i)
			list = append(list, text(a)+" | "+text(b))
		}
	}
	return list
}

// data loads the packet's start into r2.
var data = asm.LoadMem(asm.R2, asm.R1, 0, asm.Word)

func TestOperands(t *testing.T) {
	load := func(dst asm.Register, off int16, size asm.Size) asm.Instruction {
		return asm.LoadMem(dst, asm.R2, off, size)
	}
	for name, test := range map[string]struct {
		code []asm.Instruction // leaves the operand in r0
		want string
	}{
		"constant":              {[]asm.Instruction{asm.Mov.Imm(asm.R0, 7)}, "fixed 0x7"},
		"argument of the entry": {[]asm.Instruction{asm.Mov.Reg(asm.R0, asm.R3)}, "?"},
		"field of the context":  {[]asm.Instruction{asm.LoadMem(asm.R0, asm.R1, 12, asm.Word)}, "context field12[12:4]"},
		"packet":                {[]asm.Instruction{data, load(asm.R0, 12, asm.Half)}, "packet[12:2]"},
		"packet, signed":        {[]asm.Instruction{data, asm.LoadMemSX(asm.R0, asm.R2, 12, asm.Half)}, "packet[12:2] sext 0x2"},
		"metadata": {[]asm.Instruction{
			asm.LoadMem(asm.R2, asm.R1, 8, asm.Word), load(asm.R0, 4, asm.Word),
		}, "meta[4:4]"},
		"length by subtraction": {[]asm.Instruction{
			data, asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), asm.Sub.Reg(asm.R0, asm.R2),
		}, "length[0:4]"},
		"length less a header": {[]asm.Instruction{
			data, asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), asm.Add.Imm(asm.R2, 14), asm.Sub.Reg(asm.R0, asm.R2),
		}, "length[0:4] add 0xfffffffffffffff2"},
		"length field": {[]asm.Instruction{asm.LoadMem(asm.R0, asm.R1, 20, asm.Word)}, "length[0:4]"},
		"behind a sum of constants": {[]asm.Instruction{
			data, asm.Add.Imm(asm.R2, 14), asm.Mov.Imm(asm.R3, 6), asm.Add.Reg(asm.R2, asm.R3), load(asm.R0, 3, asm.Byte),
		}, "packet[23:1]"},
		"at an offset of the packet's": {[]asm.Instruction{
			data, load(asm.R3, 14, asm.Byte), asm.Add.Reg(asm.R2, asm.R3), load(asm.R0, 0, asm.Half),
		}, "packet[-1:2]"},
		"header length": {[]asm.Instruction{
			data, load(asm.R0, 14, asm.Byte), asm.And.Imm(asm.R0, 15), asm.LSh.Imm(asm.R0, 2),
		}, "packet[14:1] and 0xf lsh 0x2"},
		"network order": {[]asm.Instruction{
			data, load(asm.R0, 12, asm.Half), asm.HostTo(asm.BE, asm.R0, asm.Half),
		}, "packet[12:2] swap 0x2"},
		"swap without condition": {[]asm.Instruction{
			data, load(asm.R0, 12, asm.Word), asm.BSwap(asm.R0, asm.Word),
		}, "packet[12:4] swap 0x4"},
		"to the order that it has": {[]asm.Instruction{
			data, load(asm.R0, 12, asm.Word), asm.HostTo(asm.LE, asm.R0, asm.Half),
		}, "packet[12:2]"},
		"32 bits of a move": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.DWord), asm.Mov.Reg32(asm.R0, asm.R0),
		}, "packet[8:4]"},
		"32-bit sum": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Word), asm.Add.Imm32(asm.R0, -1),
		}, "packet[8:4] add 0xffffffff cut 0x4"},
		"sums are put together": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Word), asm.Add.Imm(asm.R0, 5), asm.Sub.Imm(asm.R0, 2),
		}, "packet[8:4] add 0x3"},
		"difference from a constant": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Byte), asm.Mov.Imm(asm.R0, 9), asm.Sub.Reg(asm.R0, asm.R3),
		}, "packet[8:1] neg 0x0 add 0x9"},
		"mask in a register": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Half), asm.Mov.Imm(asm.R0, 0xff0), asm.And.Reg(asm.R0, asm.R3),
		}, "packet[8:2] and 0xff0"},
		"mask of a byte": {[]asm.Instruction{data, load(asm.R0, 8, asm.Half), asm.And.Imm(asm.R0, 0xff)}, "packet[8:1]"},
		"mask that does nothing": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Byte), asm.And.Imm(asm.R0, 0xffff),
		}, "packet[8:1]"},
		"product": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Word), asm.Mul.Imm32(asm.R0, 31), asm.RSh.Imm32(asm.R0, 16),
		}, "packet[8:4] mul 0x1f cut 0x4 rsh 0x10"},
		"division by a power of two":  {[]asm.Instruction{data, load(asm.R0, 8, asm.Word), asm.Div.Imm(asm.R0, 8)}, "packet[8:4] rsh 0x3"},
		"remainder of a power of two": {[]asm.Instruction{data, load(asm.R0, 8, asm.Word), asm.Mod.Imm(asm.R0, 8)}, "packet[8:4] and 0x7"},
		"division by three":           {[]asm.Instruction{data, load(asm.R0, 8, asm.Word), asm.Div.Imm(asm.R0, 3)}, "?"},
		"signed shift": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Word), asm.LSh.Imm(asm.R0, 32), asm.ArSh.Imm(asm.R0, 32),
		}, "packet[8:4] lsh 0x20 arsh 0x20"},
		"negated": {[]asm.Instruction{data, load(asm.R0, 8, asm.Word), asm.Neg.Imm(asm.R0, 0)}, "packet[8:4] neg 0x0"},
		"bytes in network order put together": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Byte), load(asm.R3, 9, asm.Byte), asm.LSh.Imm(asm.R0, 8), asm.Or.Reg(asm.R0, asm.R3),
		}, "packet[8:2] swap 0x2"},
		"bytes put together": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Byte), load(asm.R3, 9, asm.Byte), asm.LSh.Imm(asm.R3, 8), asm.Or.Reg(asm.R3, asm.R0),
			load(asm.R4, 10, asm.Byte), load(asm.R0, 11, asm.Byte), asm.LSh.Imm(asm.R0, 8), asm.Or.Reg(asm.R0, asm.R4),
			asm.LSh.Imm(asm.R0, 16), asm.Or.Reg(asm.R0, asm.R3),
		}, "packet[8:4]"},
		"the upper bytes first": {[]asm.Instruction{
			data, load(asm.R3, 10, asm.Byte), load(asm.R0, 11, asm.Byte), asm.LSh.Imm32(asm.R3, 16), asm.LSh.Imm32(asm.R0, 24), asm.Or.Reg32(asm.R0, asm.R3),
			load(asm.R4, 8, asm.Byte), load(asm.R5, 9, asm.Byte), asm.LSh.Imm32(asm.R5, 8), asm.Or.Reg32(asm.R5, asm.R4), asm.Or.Reg32(asm.R0, asm.R5),
		}, "packet[8:4]"},
		"bytes that are no neighbours": {[]asm.Instruction{
			data, load(asm.R0, 8, asm.Byte), load(asm.R3, 10, asm.Byte), asm.LSh.Imm(asm.R3, 8), asm.Or.Reg(asm.R0, asm.R3),
		}, "?"},
		"spilled": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Word), asm.StoreMem(asm.R10, -16, asm.R3, asm.DWord),
			asm.LoadMem(asm.R0, asm.R10, -16, asm.DWord),
		}, "packet[8:4]"},
		"spilled address": {[]asm.Instruction{
			data, asm.StoreMem(asm.R10, -8, asm.R2, asm.DWord), asm.LoadMem(asm.R4, asm.R10, -8, asm.DWord),
			asm.LoadMem(asm.R0, asm.R4, 3, asm.Byte),
		}, "packet[3:1]"},
		"part of what was stored": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.DWord), asm.StoreMem(asm.R10, -16, asm.R3, asm.DWord),
			asm.LoadMem(asm.R0, asm.R10, -14, asm.Half),
		}, "packet[10:2]"},
		"stored in parts": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Half), load(asm.R4, 10, asm.Half),
			asm.StoreMem(asm.R10, -4, asm.R3, asm.Half), asm.StoreMem(asm.R10, -2, asm.R4, asm.Half),
			asm.LoadMem(asm.R0, asm.R10, -4, asm.Word),
		}, "packet[8:4]"},
		"overwritten": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Word), asm.StoreMem(asm.R10, -16, asm.R3, asm.DWord),
			asm.StoreImm(asm.R10, -14, 1, asm.Byte), asm.LoadMem(asm.R0, asm.R10, -16, asm.Half),
		}, "packet[8:2]"},
		"overwritten in part": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Word), asm.StoreMem(asm.R10, -16, asm.R3, asm.DWord),
			asm.StoreImm(asm.R10, -15, 1, asm.Byte), asm.LoadMem(asm.R0, asm.R10, -16, asm.Half),
		}, "packet[8:1] or 0x100"},
		"written through an unknown address": {[]asm.Instruction{
			data, load(asm.R3, 8, asm.Word), asm.StoreMem(asm.R10, -16, asm.R3, asm.DWord),
			asm.Mov.Reg(asm.R4, asm.R10), asm.Sub.Reg(asm.R4, asm.R3), asm.StoreImm(asm.R4, -1, 1, asm.Byte),
			asm.LoadMem(asm.R0, asm.R10, -16, asm.DWord),
		}, "?"},
		"helper": {[]asm.Instruction{asm.FnGetPrandomU32.Call()}, "helper bpf_get_prandom_u32[-1:8]"},
		"bytes that a helper copies": {[]asm.Instruction{
			asm.Mov.Imm(asm.R2, 12), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 2),
			asm.FnSkbLoadBytes.Call(), asm.LoadMem(asm.R0, asm.R10, -8, asm.Half),
		}, "packet[12:2]"},
		"entry of a map": {[]asm.Instruction{
			asm.LoadMapPtr(asm.R1, 0).WithReference("flows"), asm.FnMapLookupElem.Call(),
		}, "entry flows[-1:8]"},
		"value in a map": {[]asm.Instruction{
			asm.LoadMapPtr(asm.R1, 0).WithReference("flows"), asm.FnMapLookupElem.Call(), asm.LoadMem(asm.R0, asm.R0, 4, asm.Word),
		}, "map flows[4:4]"},
		"global variable": {[]asm.Instruction{
			asm.LoadMapValue(asm.R3, 0, 8).WithReference(".bss"), asm.LoadMem(asm.R0, asm.R3, 4, asm.Word),
		}, "map .bss[12:4]"},
		"global constant": {[]asm.Instruction{
			asm.LoadMapValue(asm.R3, 0, 8).WithReference(".rodata"), asm.LoadMem(asm.R0, asm.R3, 4, asm.Word),
		}, "fixed 0xc"},
		"atomic": {[]asm.Instruction{
			asm.Mov.Imm(asm.R0, 1), asm.StoreImm(asm.R10, -8, 5, asm.Word), asm.FetchAdd.Mem(asm.R10, asm.R0, asm.DWord, -8),
		}, "?"},
	} {
		t.Run(name, func(t *testing.T) {
			code := append(test.code, branch(asm.JEq, asm.R0, 5, 1), asm.Mov.Imm(asm.R0, 1), asm.Return())
			opts := Options{Context: xdp, Constant: func(name string, off int64, _ int) (uint64, bool) { return uint64(off), name == ".rodata" }}
			if got, want := analyze(t, opts, code...)[0], test.want+" | fixed 0x5"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestJoins(t *testing.T) {
	// After the first branch r3 is 14 or 18, r4 the same either way.
	head := []asm.Instruction{
		data, asm.Mov.Imm(asm.R3, 14), asm.LoadMem(asm.R4, asm.R2, 30, asm.Byte),
		branch(asm.JEq, asm.R4, 1, 1), asm.Mov.Imm(asm.R3, 18),
	}
	for name, test := range map[string]struct {
		code []asm.Instruction
		want string
	}{
		"equal":                      {[]asm.Instruction{asm.Mov.Reg(asm.R0, asm.R4)}, "packet[30:1]"},
		"one of two constants":       {[]asm.Instruction{asm.Mov.Reg(asm.R0, asm.R3)}, "?"},
		"one of two places":          {[]asm.Instruction{asm.Add.Reg(asm.R2, asm.R3), asm.LoadMem(asm.R0, asm.R2, 0, asm.Half)}, "packet[-1:2]"},
		"one of two places, swapped": {[]asm.Instruction{asm.Add.Reg(asm.R2, asm.R3), asm.LoadMem(asm.R0, asm.R2, 0, asm.Half), asm.HostTo(asm.BE, asm.R0, asm.Half)}, "packet[-1:2] swap 0x2"},
	} {
		t.Run(name, func(t *testing.T) {
			code := append(append(head[:len(head):len(head)], test.code...), branch(asm.JEq, asm.R0, 5, 1), asm.Mov.Imm(asm.R0, 1), asm.Return())
			got := analyze(t, Options{Context: xdp}, code...)
			if want := test.want + " | fixed 0x5"; got[1] != want {
				t.Errorf("%s, want %s", got[1], want)
			}
		})
	}
}

func TestFunctions(t *testing.T) {
	for name, test := range map[string]struct {
		code []asm.Instruction
		want []string
	}{
		"result of a function": {[]asm.Instruction{
			asm.LoadMem(asm.R1, asm.R1, 0, asm.Word).WithSymbol("main"), asm.Mov.Imm(asm.R2, 12), call("sub"),
			branch(asm.JEq, asm.R0, 5, 1), asm.Mov.Imm(asm.R0, 1), asm.Return(),
			asm.Add.Reg(asm.R1, asm.R2).WithSymbol("sub"), asm.LoadMem(asm.R0, asm.R1, 0, asm.Half), asm.Return(),
		}, []string{"packet[12:2] | fixed 0x5"}},
		"two calls": {[]asm.Instruction{
			asm.LoadMem(asm.R6, asm.R1, 0, asm.Word).WithSymbol("main"), asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 12), call("sub"),
			branch(asm.JEq, asm.R0, 5, 5), asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 16), call("sub"),
			branch(asm.JEq, asm.R0, 6, 1), asm.Mov.Imm(asm.R0, 1), asm.Return(),
			asm.Add.Reg(asm.R1, asm.R2).WithSymbol("sub"), asm.LoadMem(asm.R0, asm.R1, 0, asm.Half), asm.Return(),
		}, []string{"packet[-1:2] | fixed 0x5", "packet[-1:2] | fixed 0x6"}},
		"a function that never comes back": {[]asm.Instruction{
			asm.Mov.Imm(asm.R0, 0).WithSymbol("main"), call("sub"), branch(asm.JEq, asm.R0, 5, 1), asm.Mov.Imm(asm.R0, 1), asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("sub"), ja(-1), asm.Return(),
		}, []string{"? | fixed 0x5"}},
		"a loop": {[]asm.Instruction{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word).WithSymbol("main"), asm.Mov.Imm(asm.R3, 0),
			asm.LoadMem(asm.R4, asm.R2, 14, asm.Byte), branch(asm.JEq, asm.R4, 9, 3),
			asm.Add.Imm(asm.R2, 1), asm.Add.Imm(asm.R3, 1), branch(asm.JLT, asm.R3, 8, -5),
			asm.Mov.Imm(asm.R0, 1), asm.Return(),
		}, []string{"packet[-1:1] | fixed 0x9", "? | fixed 0x8"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := analyze(t, Options{Context: xdp}, test.code...)
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestSecondOperand(t *testing.T) {
	ins := asm.JGT.Reg(asm.R2, asm.R3, "").WithReference("")
	ins.Offset = 1
	got := analyze(t, Options{Context: xdp},
		data, asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), asm.Add.Imm(asm.R2, 34), ins, asm.Mov.Imm(asm.R0, 1), asm.Return())
	if want := "fixed 0x22 | length[0:4]"; got[0] != want {
		t.Errorf("%s, want %s", got[0], want)
	}
}

func ja(off int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: off}
}

func call(name string) asm.Instruction { return asm.Call.Label(name) }
