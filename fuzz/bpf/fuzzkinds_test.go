package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// readsEntry is a program that returns 99 when its map has, under a key of its own, a
// value that only inputs can bring.
func readsEntry(m *ebpf.MapSpec, key ...int32) *ebpf.CollectionSpec {
	code := asm.Instructions{asm.Mov.Imm(asm.R0, 1).WithSymbol("reads")}
	for i, word := range key {
		code = append(code, asm.StoreImm(asm.RFP, int16(4*i-8), int64(word), asm.Word))
	}
	code = append(code,
		asm.LoadMapPtr(asm.R1, 0).WithReference(m.Name),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		asm.Instruction{OpCode: asm.JEq.Op(asm.ImmSource), Dst: asm.R0, Offset: 4},
		asm.LoadMem(asm.R1, asm.R0, 4, asm.Word),
		asm.Instruction{OpCode: asm.JNE.Op(asm.ImmSource), Dst: asm.R1, Constant: 0x5eed1e55, Offset: 2},
		asm.Mov.Imm(asm.R0, 99),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1),
		asm.Return())
	return &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{"reads": {Name: "reads", Type: ebpf.XDP, License: "GPL", Instructions: code}},
		Maps:     map[string]*ebpf.MapSpec{m.Name: m},
	}
}

// TestFuzzedMapsOfEachKind has inputs bring the entry that a program wants, to maps of
// all kinds that hold data.
func TestFuzzedMapsOfEachKind(t *testing.T) {
	needKernel(t)
	number := &btf.Int{Name: "u32", Size: 4}
	pair := func(a, b string) *btf.Struct {
		return &btf.Struct{Name: "pair", Size: 8, Members: []btf.Member{{Name: a, Type: number}, {Name: b, Type: number, Offset: 32}}}
	}
	for _, tt := range []struct {
		typ   ebpf.MapType
		flags uint32
		key   btf.Type
		words []int32
	}{
		{ebpf.Hash, 0, number, []int32{1234567}},
		{ebpf.LRUHash, 0, number, []int32{1234567}},
		{ebpf.PerCPUHash, 0, number, []int32{1234567}},
		{ebpf.LRUCPUHash, 0, number, []int32{1234567}},
		{ebpf.Array, 0, number, []int32{3}},
		{ebpf.PerCPUArray, 0, number, []int32{3}},
		{ebpf.LPMTrie, 1, pair("prefix", "address"), []int32{32, 0x0100000a}},
	} {
		t.Run(tt.typ.String(), func(t *testing.T) {
			m := &ebpf.MapSpec{
				Name: "entries", Type: tt.typ, KeySize: uint32(4 * len(tt.words)), ValueSize: 8, MaxEntries: 8, Flags: tt.flags,
				Key: tt.key, Value: pair("count", "cookie"),
			}
			target, err := NewTarget(FromSpec("reads.o", readsEntry(m, tt.words...)), Options{Setup: Setup{
				FuzzMaps: MapBounds{"entries": {Entries: 2}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
			if err != nil {
				t.Fatal(err)
			}
			result, err := fuzz.Run(t.Context(), target, fuzz.Options{
				Seed: 1, Execs: 200_000, StopOnFinding: true, Judge: triage.NewJudge(oracles, relations),
				Triage: triage.Options{Program: "reads", Table: target.Table(), Shape: target.Shape()},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Findings) != 1 {
				t.Fatalf("%d findings after %d executions", len(result.Findings), result.Stats.Execs)
			}
			t.Logf("found after %d executions", result.Stats.Execs)
			f := result.Findings[0]
			if len(f.Input.Maps) != 1 || f.Input.Maps[0].Map != "entries" {
				t.Errorf("the finding has entries %v", f.Input.Maps)
			}
		})
	}
}
