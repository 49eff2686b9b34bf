package bpf

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Types whose context depends on the program get it from what there is, and refuse
// what BPF_PROG_RUN would not run.
func TestSpecialContexts(t *testing.T) {
	far := asm.Instructions{
		asm.LoadMem(asm.R0, asm.R1, 800, asm.DWord),
		asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord),
		asm.Return(),
	}
	for _, tt := range []struct {
		name   string
		prog   ebpf.ProgramSpec
		size   int    // of the context
		refuse string // part of the error
	}{
		{name: "syscall without BTF", prog: ebpf.ProgramSpec{Type: ebpf.Syscall, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}, size: 256},
		{name: "syscall that reads far", prog: ebpf.ProgramSpec{Type: ebpf.Syscall, Instructions: far}, size: 808},
		{name: "tracepoint without a name", prog: ebpf.ProgramSpec{Type: ebpf.RawTracepoint}, size: 96},
		{name: "tracepoint of another kernel", prog: ebpf.ProgramSpec{Type: ebpf.RawTracepoint, AttachTo: "no_such_tracepoint"}, size: 96},
		{name: "operations without a variable", prog: ebpf.ProgramSpec{Type: ebpf.StructOps}, refuse: ".struct_ops.link"},
		{name: "operations of others", prog: ebpf.ProgramSpec{Type: ebpf.StructOps, AttachTo: "tcp_congestion_ops:init"}, refuse: "EOPNOTSUPP"},
		{name: "fentry of others", prog: ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "do_exit"}, refuse: "bpf_fentry_test1"},
		{name: "fmod_ret of others", prog: ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachModifyReturn, AttachTo: "do_exit"}, refuse: "bpf_modify_return_test"},
		{name: "event that is not caused", prog: ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "block_rq_issue"}, refuse: "task_rename"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prog.Name = "prog"
			row, err := rowOf(&tt.prog)
			if tt.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refuse) || !strings.Contains(err.Error(), `"prog"`) {
					t.Errorf("%v, want an error about prog that says %q", err, tt.refuse)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.prog.Type == ebpf.Syscall && !strings.Contains(row.note, "no BTF") {
				t.Errorf("the note %q does not say that there is no BTF", row.note)
			}
			if row.contextSize != tt.size {
				t.Errorf("a context of %d bytes, want %d", row.contextSize, tt.size)
			}
		})
	}
}

// Arguments lie in words, and what they point to behind them.
func TestArgumentsLayout(t *testing.T) {
	u8, u64 := &btf.Int{Name: "char", Size: 1}, &btf.Int{Name: "u64", Size: 8}
	inner := &btf.Struct{Name: "s", Size: 12, Members: []btf.Member{
		{Name: "n", Type: &btf.Int{Size: 4}}, {Name: "p", Type: &btf.Pointer{Target: u64}, Offset: 32},
	}}
	a := newArguments([]param{
		{typ: &btf.Int{Size: 4}},
		{typ: &btf.Pointer{Target: &btf.Const{Type: u8}}, nullable: true},
		{typ: &btf.Pointer{Target: inner}},
		{typ: &btf.Pointer{Target: &btf.Void{}}},
		{typ: &btf.Pointer{Target: &btf.FuncProto{Return: u64}}},
		{},
	})
	const words = 6 * wordSize
	if want := words + textPointee + 16 + 64; a.size != want {
		t.Errorf("a context of %d bytes, want %d", a.size, want)
	}
	at := map[string]int{}
	for i, f := range a.fields {
		at[f.Name] = f.Offset
		if i > 0 && f.Offset < a.fields[i-1].Offset {
			t.Errorf("%s at %d comes after %s", f.Name, f.Offset, a.fields[i-1].Name)
		}
		if f.Offset+f.Size > a.size {
			t.Errorf("%s ends at %d", f.Name, f.Offset+f.Size)
		}
	}
	for name, offset := range map[string]int{
		"args[0]": 0, "args[1].null": 8, "args[5]": 40, "args[1][0]": words, "args[2].n": words + textPointee, "args[3][7]": words + textPointee + 16 + 56,
	} {
		if got, ok := at[name]; !ok || got != offset {
			t.Errorf("%s is at %d (%t), want %d", name, got, ok, offset)
		}
	}
	if _, ok := at["args[1][31]"]; ok {
		t.Error("the last byte of a text can be set")
	}

	p := passing{arguments: a, words: make([]byte, words), mem: make([]byte, a.pointees()), base: 0x1000}
	ctx := make([]byte, a.size)
	ctx[8], ctx[words], ctx[words+textPointee] = 1, 'x', 7
	passed := p.pass(ctx)
	for i, want := range []uint64{0, 0, 0x1000 + textPointee, 0x1000 + textPointee + 16, 0, 0} {
		if got := integerAt(passed[wordSize*i:][:wordSize], false); got != want {
			t.Errorf("argument %d is %#x, want %#x", i, got, want)
		}
	}
	if p.mem[0] != 'x' || p.mem[textPointee] != 7 {
		t.Error("pointees did not arrive")
	}
	if back := p.answer(nil, ctx); string(back) != string(ctx) {
		t.Errorf("answer %x, want %x", back, ctx)
	}
}
