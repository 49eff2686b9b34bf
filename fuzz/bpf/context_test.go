package bpf

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// The offsets of the grammar are those that the kernel's own BTF has.
func TestContextLayout(t *testing.T) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skipf("the kernel has no BTF: %v", err)
	}
	for _, tt := range []struct {
		name   string
		size   int
		fields []corpus.Field
	}{
		{"__sk_buff", skbSize, append(skbContext(3712, nil), skbOutput()...)},
		{"xdp_md", xdpSize, append(xdpContext(3520, &machine{last: 3, queues: 8}), xdpOutput()...)},
		{"bpf_flow_keys", keysSize, append(flowContext(0, nil), flowOutput()...)},
		{"bpf_sk_lookup", lookupSize, append(lookupContext(0, nil), lookupOutput()...)},
	} {
		var s *btf.Struct
		if err := types.TypeByName(tt.name, &s); err != nil {
			t.Fatal(err)
		}
		if int(s.Size) > tt.size {
			t.Logf("%s has grown to %d bytes here", tt.name, s.Size)
		}
		known := map[string]corpus.Field{}
		for _, f := range flatten(s, int(s.Size)) {
			known[f.Name] = f
		}
		for _, f := range tt.fields {
			if k := known[f.Name]; k.Offset != f.Offset || k.Size != f.Size {
				t.Errorf("%s.%s is at %d+%d, the kernel has it at %d+%d", tt.name, f.Name, f.Offset, f.Size, k.Offset, k.Size)
			}
		}
	}
}

// runner runs a program that only returns in a network namespace of its own.
func runner(t *testing.T, typ ebpf.ProgramType) func(packet, ctx []byte) error {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace of our own: %v", err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: typ, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("no right to load a %s program: %v", typ, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return func(packet, ctx []byte) error {
		_, err := prog.Run(&ebpf.RunOptions{Data: packet, Context: ctx})
		return err
	}
}

func shapeFor(t *testing.T, typ ebpf.ProgramType) (programType, *corpus.Shape) {
	t.Helper()
	prog := &ebpf.ProgramSpec{Name: "p", Type: typ}
	shape, err := newShape(&ebpf.CollectionSpec{}, prog, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	row, err := typeOf(prog)
	if err != nil {
		t.Fatal(err)
	}
	return row, shape
}

// What the grammar leaves out is refused, so that it leaves nothing out that works.
func TestKernelRefusesOtherFields(t *testing.T) {
	run := runner(t, ebpf.SchedCLS)
	_, shape := shapeFor(t, ebpf.SchedCLS)
	legal := map[int]bool{}
	for _, f := range shape.Context {
		for i := range f.Size {
			legal[f.Offset+i] = true
		}
	}
	for at := 0; at < shape.ContextSize; at += 4 {
		ctx := make([]byte, shape.ContextSize)
		ctx[at] = 1
		err := run(make([]byte, 64), ctx)
		if !legal[at] && err == nil {
			t.Errorf("a context with byte %d set is accepted, and no field is there", at)
		}
		if err != nil && !errors.Is(err, unix.EINVAL) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

func TestFixContext(t *testing.T) {
	row, shape := shapeFor(t, ebpf.XDP)
	ctx := []byte("all of this is no context")[:xdpSize]
	row.fixContext(shape, ctx, make([]byte, 100), 8)
	if got := integerAt(ctx[xdpOffData:xdpOffDataEnd], false); got != 8 {
		t.Errorf("data is %d, want the metadata's length", got)
	}
	if got := integerAt(ctx[xdpOffDataEnd:xdpOffMeta], false); got != 108 {
		t.Errorf("data_end is %d, want the length of all", got)
	}
	row, shape = shapeFor(t, ebpf.SchedCLS)
	ctx = make([]byte, skbSize)
	ctx[skbOffWireLen], ctx[0], ctx[191] = 1, 1, 1
	packet := make([]byte, 100)
	row.fixContext(shape, ctx, packet, 0)
	if got := integerAt(ctx[skbOffWireLen:skbOffWireLen+4], false); got != 100 {
		t.Errorf("wire_len is %d, want the packet's length", got)
	}
	if ctx[0] != 0 {
		t.Error("len is set, and is no field")
	}
	if n := testing.AllocsPerRun(100, func() { row.fixContext(shape, ctx, packet, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
