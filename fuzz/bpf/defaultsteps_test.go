package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

func TestDefaultSteps(t *testing.T) {
	for _, test := range []struct {
		name string
		fns  []asm.BuiltinFunc
		want int
	}{
		{"nothing", nil, 1},
		{"counters", []asm.BuiltinFunc{asm.FnMapLookupElem}, 1},
		{"a table", []asm.BuiltinFunc{asm.FnMapLookupElem, asm.FnMapUpdateElem}, statefulSteps},
		{"a queue", []asm.BuiltinFunc{asm.FnMapPopElem}, statefulSteps},
	} {
		p := &ebpf.ProgramSpec{}
		for _, fn := range test.fns {
			p.Instructions = append(p.Instructions, fn.Call())
		}
		if got := defaultSteps([]*ebpf.ProgramSpec{p}); got != test.want {
			t.Errorf("%s: %d steps, want %d", test.name, got, test.want)
		}
	}
}

// withExit ends a program, where its jumps go.
func withExit(code asm.Instructions) asm.Instructions {
	left := 0 // slots behind the instruction
	for i := len(code) - 1; i >= 0; i-- {
		if code[i].Reference() == "out" {
			code[i] = code[i].WithReference("")
			code[i].Offset = int16(left)
		}
		left += int(code[i].Size()) / asm.InstructionSize
	}
	code[0] = code[0].WithSymbol("main")
	return append(code, asm.Mov.Imm(asm.R0, 2), asm.Return())
}

// What is written in place makes inputs longer where the program decides by it.
func TestStepsOfWhatIsWrittenInPlace(t *testing.T) {
	needKernel(t)
	entry := asm.Instructions{
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, 0).WithReference("values"),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
	}
	global := asm.Instructions{asm.LoadMapValue(asm.R0, 0, 8).WithReference(".bss")}
	read := asm.LoadMem(asm.R1, asm.R0, 0, asm.Word)
	add, write := asm.Add.Imm(asm.R1, 1), asm.StoreMem(asm.R0, 0, asm.R1, asm.Word)
	decide := asm.JGT.Imm(asm.R1, 100, "out")
	for _, test := range []struct {
		name  string
		where asm.Instructions
		what  asm.Instructions
		want  int
	}{
		{"counter", entry, asm.Instructions{read, add, write}, 1},
		{"configuration", entry, asm.Instructions{read, decide}, 1},
		{"limit", entry, asm.Instructions{read, decide, add, write}, statefulSteps},
		{"global counter", global, asm.Instructions{read, add, write}, 1},
		{"global configuration", global, asm.Instructions{read, decide}, 1},
		{"global limit", global, asm.Instructions{read, decide, add, write}, statefulSteps},
		{"global limit beside a counter", global, asm.Instructions{
			read, decide, asm.LoadMapValue(asm.R0, 0, 4).WithReference(".bss"), asm.StoreMem(asm.R0, 0, asm.R1, asm.Word),
		}, 1},
	} {
		code := append(append(asm.Instructions{}, test.where...), test.what...)
		code = withExit(code)
		u32 := &btf.Int{Size: 4}
		spec := &ebpf.CollectionSpec{
			Programs: map[string]*ebpf.ProgramSpec{"main": {Name: "main", Type: ebpf.XDP, License: "GPL", Instructions: code}},
			Maps: map[string]*ebpf.MapSpec{
				"values": {Name: "values", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
				".bss": {
					Name: ".bss", Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
					Value: &btf.Datasec{Name: ".bss", Size: 12, Vars: []btf.VarSecinfo{
						{Type: &btf.Var{Name: "a", Type: u32}, Offset: 4, Size: 4}, {Type: &btf.Var{Name: "b", Type: u32}, Offset: 8, Size: 4},
					}},
				},
			},
		}
		target, err := NewTarget(FromSpec(test.name, spec), Options{})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := target.shape.MaxSteps; got != test.want {
			t.Errorf("%s: %d steps, want %d", test.name, got, test.want)
		}
	}
}
