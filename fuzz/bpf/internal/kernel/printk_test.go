package kernel

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// newTalker loads a socket filter that prints its context's length in two lines.
func newTalker(t *testing.T) *ebpf.Program {
	t.Helper()
	// "n %d\nend" on the stack, then bpf_trace_printk(format, 9, len).
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R3, asm.R1, 0, asm.Word),
			asm.Mov.Imm(asm.R4, 0),
			asm.StoreMem(asm.RFP, -8, asm.R4, asm.DWord),
			asm.LoadImm(asm.R4, 0x646e650a6425206e, asm.DWord),
			asm.StoreMem(asm.RFP, -16, asm.R4, asm.DWord),
			asm.Mov.Reg(asm.R1, asm.RFP),
			asm.Add.Imm(asm.R1, -16),
			asm.Mov.Imm(asm.R2, 9),
			asm.FnTracePrintk.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

func TestPrintkReadsOwnThreadOnly(t *testing.T) {
	privileged(t)
	prog := newTalker(t)
	run := func() {
		r := NewRun(prog.FD())
		r.SetData(make([]byte, 74), nil)
		if errno := r.Do(); errno != 0 {
			t.Errorf("running: %v", errno)
		}
	}
	err := Isolated(0, func() error {
		p, err := OpenPrintk()
		if err != nil {
			return err
		}
		run()
		_ = Isolated(0, func() error { run(); return nil }) // another thread
		lines, err := p.Read()
		if want := []string{"n 60", "end"}; err == nil && !slices.Equal(lines, want) {
			t.Errorf("Read = %q, want %q", lines, want)
		}
		if again, _ := p.Read(); len(again) != 0 {
			t.Errorf("a second Read gives %q", again)
		}
		if err != nil {
			return err
		}
		return p.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrintedLines(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"one", "   a-1 [000] b..1. 5.5: bpf_trace_printk: hello\n", []string{"hello"}},
		{"two in one", "   a-1 [000] b..1. 5.5: bpf_trace_printk: a\nb\n", []string{"a", "b"}},
		{"the mark in the message", " x: bpf_trace_printk: y: bpf_trace_printk: z\n", []string{"y: bpf_trace_printk: z"}},
		{"an empty message", " x: bpf_trace_printk: \n", []string{""}},
	} {
		if got := printedLines([]byte(test.text)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestCounters(t *testing.T) {
	privileged(t)
	err := Isolated(0, func() error {
		for _, e := range CounterEvents() {
			c, err := OpenCounter(e)
			if err == ErrNoCounter && e.Name != "task-clock-ns" {
				t.Logf("%s: %v", e.Name, err)
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", e.Name, err)
				continue
			}
			if err := c.Start(); err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
			for range 1000 {
				Missing() // a system call, which takes time in the kernel
			}
			n, err := c.Stop()
			if err != nil || n == 0 && e.Name != "cache-misses" {
				t.Errorf("%s: count %d, error %v", e.Name, n, err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
