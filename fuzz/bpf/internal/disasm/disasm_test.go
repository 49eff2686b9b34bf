package disasm

import (
	"testing"

	"github.com/cilium/ebpf/asm"
)

func TestText(t *testing.T) {
	with := func(ins asm.Instruction, offset int16) asm.Instruction {
		ins.Offset = offset
		return ins.WithReference("")
	}
	for _, tc := range []struct {
		ins  asm.Instruction
		want string
	}{
		{asm.Mov.Reg(asm.R6, asm.R1), "r6 = r1"},
		{asm.Mov.Imm32(asm.R0, -1), "w0 = -1"},
		{asm.MovSX16.Reg(asm.R2, asm.R3), "r2 = (s16)r3"},
		{asm.Add.Imm(asm.R1, -8), "r1 += -8"},
		{asm.SDiv.Reg32(asm.R1, asm.R2), "w1 s/= w2"},
		{asm.ArSh.Imm(asm.R1, 3), "r1 s>>= 3"},
		{asm.Neg.Imm(asm.R4, 0), "r4 = -r4"},
		{asm.HostTo(asm.BE, asm.R1, asm.Half), "r1 = be16 r1"},
		{asm.BSwap(asm.R1, asm.Word), "r1 = bswap32 r1"},
		{asm.LoadMem(asm.R1, asm.R10, -8, asm.DWord), "r1 = *(u64 *)(r10 -8)"},
		{asm.LoadMemSX(asm.R1, asm.R2, 4, asm.Byte), "r1 = *(s8 *)(r2 +4)"},
		{asm.StoreMem(asm.R10, -4, asm.R3, asm.Word), "*(u32 *)(r10 -4) = r3"},
		{asm.StoreImm(asm.R1, 0, 1, asm.Byte), "*(u8 *)(r1 +0) = 1"},
		{asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 8), "lock *(u64 *)(r1 +8) += r2"},
		{asm.FetchOr.Mem(asm.R1, asm.R2, asm.Word, 0), "r2 = atomic_fetch_or((u32 *)(r1 +0), r2)"},
		{asm.CmpXchg.Mem(asm.R1, asm.R2, asm.DWord, 0), "r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)"},
		{asm.LoadAcquire(asm.R1, asm.R2, asm.Word, 4), "r1 = load_acquire((u32 *)(r2 +4))"},
		{asm.StoreRelease(asm.R1, asm.R2, asm.DWord, 4), "store_release((u64 *)(r1 +4), r2)"},
		{asm.LoadImm(asm.R1, 0x1234, asm.DWord), "r1 = 0x1234 ll"},
		{asm.LoadMapPtr(asm.R1, 7), "r1 = map[id:7]"},
		{asm.LoadMapPtr(asm.R1, 0).WithReference("vips"), "r1 = map[vips]"},
		{asm.LoadMapValue(asm.R1, 0, 16).WithReference(".rodata"), "r1 = map[.rodata][0]+16"},
		{asm.LoadAbs(12, asm.Half), "r0 = *(u16 *)skb[12]"},
		{asm.LoadInd(asm.R0, asm.R7, 2, asm.Byte), "r0 = *(u8 *)skb[r7 + 2]"},
		{with(asm.JSGT.Imm(asm.R1, -2, ""), 5), "if r1 s> 0xfffffffe goto pc+5"},
		{with(asm.JEq.Reg32(asm.R1, asm.R2, ""), -5), "if w1 == w2 goto pc-5"},
		{with(asm.Ja.Label(""), 3), "goto pc+3"},
		{asm.LongJump("").WithReference(""), "gotol pc-1"},
		{asm.FnMapLookupElem.Call(), "call bpf_map_lookup_elem#1"},
		{asm.FnGetSmpProcessorId.Call(), "call bpf_get_smp_processor_id#8"},
		{asm.BuiltinFunc(0xfffffff).Call(), "call helper#268435455"},
		{asm.Call.Label("parse"), "call parse"},
		{asm.Return(), "exit"},
		{asm.Instruction{OpCode: 0xc0}, "nospec"},
		{asm.Instruction{OpCode: asm.InvalidOpCode}, "opcode 0xffff"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			if got := Text(&tc.ins); got != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// FuzzText finds opcodes for which there is no text.
func FuzzText(f *testing.F) {
	f.Add(uint32(0xc0), uint8(1), int16(1), int64(5))
	f.Fuzz(func(t *testing.T, op uint32, registers uint8, offset int16, constant int64) {
		ins := asm.Instruction{OpCode: asm.OpCode(op), Dst: asm.Register(registers & 15), Src: asm.Register(registers >> 4), Offset: offset, Constant: constant}
		if Text(&ins) == "" {
			t.Errorf("no text for %#x", op)
		}
	})
}
