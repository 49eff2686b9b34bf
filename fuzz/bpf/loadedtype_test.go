package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Programs that somebody else loaded and whose type leaves the context open are run
// on the fields that the kernel tells of.
func TestLoadedContexts(t *testing.T) {
	needKernel(t)
	for _, tt := range []struct {
		file, program, attach string
		set                   map[string]uint64 // fields with which the planted bug is reached
		cpu                   int32
		note                  string
	}{
		{file: "syscall", program: "serve", set: map[string]uint64{"op": 7, "key": 0xfeedface12345678, "name[0]": 'x', "len": 3}},
		{file: "tracing", program: "raw_tp_pointer", attach: "task_rename", set: map[string]uint64{"args[1][0]": 'k', "args[1][1]": 'w'}},
		{file: "tracing", program: "raw_tp", set: map[string]uint64{"args[1]": 16, "args[3]": 1 << 20}, cpu: 1, note: "attached to no tracepoint"},
		{file: "struct_ops", program: "test_1", set: map[string]uint64{"args[0].val": 0x5a5a}},
		{file: "struct_ops", program: "test_2", set: map[string]uint64{"args[1]": 0xffffff9c, "args[2]": 7, "args[4]": 0x1234567890}},
	} {
		t.Run(tt.program, func(t *testing.T) {
			target := loadedExample(t, tt.file, tt.program, tt.attach)
			if notes := strings.Join(target.Notes(), "\n"); tt.note != "" && !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q do not say %q", notes, tt.note)
			}
			shape := target.Shape()
			step := corpus.Step{Context: contextWith(t, shape, tt.set)}
			if tt.cpu != 0 {
				step.Flags, step.CPU = corpus.OnCPU, tt.cpu
			}
			onExecutor(t, target, func(e *executor) {
				if n := changedBy(t, e, corpus.Step{Context: make([]byte, shape.ContextSize)}); n != 0 {
					t.Errorf("zeros change %d counters", n)
				}
				if n := changedBy(t, e, step); n != 1 {
					t.Errorf("%d counters say that the bug was reached, want one", n)
				}
			})
		})
	}
}

// What is in the kernel and cannot be run there is refused by type and answer.
func TestLoadedIsRefused(t *testing.T) {
	needKernel(t)
	for _, tt := range []struct {
		name string
		spec ebpf.ProgramSpec
		want []string
	}{
		{"operation of others", ebpf.ProgramSpec{Type: ebpf.StructOps, AttachTo: "tcp_congestion_ops:cong_avoid"}, []string{"struct_ops", "EOPNOTSUPP", dummyOps}},
		{"kprobe", ebpf.ProgramSpec{Type: ebpf.Kprobe}, []string{"kprobe", "ENOTSUPP (524)"}},
		{"tracing", ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "task_rename"}, []string{"tracing", "give its object"}},
		{"trigger", ebpf.ProgramSpec{Type: ebpf.SockOps}, []string{"sock_ops", "give its object"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Name, tt.spec.License = "prog", "GPL"
			tt.spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
			prog, err := ebpf.NewProgram(&tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			defer prog.Close()
			info, err := prog.Info()
			if err != nil {
				t.Fatal(err)
			}
			id, _ := info.ID()
			l, err := OpenLoaded(Selector{ID: uint32(id)})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, err = NewLoadedTarget(l, Options{})
			for _, word := range append(tt.want, `"prog"`) {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("%v does not say %s", err, word)
				}
			}
			t.Log(err)
		})
	}
}

// contextWith returns a context that has fields set and is zero otherwise.
func contextWith(t *testing.T, shape *corpus.Shape, set map[string]uint64) []byte {
	t.Helper()
	ctx := make([]byte, shape.ContextSize)
	for name, value := range set {
		at := slices.IndexFunc(shape.Context, func(f corpus.Field) bool { return f.Name == name })
		if at < 0 {
			t.Fatalf("there is no field %q", name)
		}
		f := &shape.Context[at]
		putInteger(ctx[f.Offset:f.Offset+f.Size], value, f.Big)
	}
	return ctx
}

// changedBy returns how many counters a step changes.
func changedBy(t *testing.T, e *executor, s corpus.Step) int {
	t.Helper()
	out, err := e.Alone(t.Context(), &corpus.Input{Steps: []corpus.Step{s}}, corpus.HaveCover)
	if err != nil {
		t.Fatal(err)
	}
	if errno := out.Steps[0].Errno; errno != 0 {
		t.Fatalf("BPF_PROG_RUN answers %v", errno)
	}
	hit := 0
	for i := range e.target.table.Edges {
		hit += int(out.Cover[e.target.table.Edges[i].Probe])
	}
	return hit
}

// loadedExample loads a program of testdata/types as somebody else might, attaches
// it where a tracepoint is named, and makes a target of it, guided by the globals.
func loadedExample(t *testing.T, file, program, attach string) *Target {
	t.Helper()
	obj, err := Open("testdata/types/" + file + ".o")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := LoadPlain(obj, Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	if attach != "" {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: attach, Program: owner.prog})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	info, err := owner.Describe()
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenLoaded(Selector{ID: info.ID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	target, err := NewLoadedTarget(l, Options{Feedback: []string{".bss"}})
	if err != nil {
		t.Fatal(err)
	}
	return target
}
