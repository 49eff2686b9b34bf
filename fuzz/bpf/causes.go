package bpf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// gateMap is the map that says on which thread a program of a tracepoint runs.
const gateMap = "bpffuzz_gate"

// cause makes the kernel pass a tracepoint on the calling thread. Its context is
// what the event carries and an input may choose.
type cause struct {
	size   int
	fields []corpus.Field
	// do has the kernel pass it. It uses scratch, which is kept from the stack.
	do func(ctx []byte)
}

// nameSize is TASK_COMM_LEN.
const nameSize = 16

// causes lists the tracepoints that can be passed at will. What the calls return
// does not matter, and none changes more than the thread's own name.
func causes() map[string]cause {
	var name []corpus.Field
	for i := range nameSize - 1 {
		name = append(name, corpus.Field{Name: fmt.Sprintf("comm[%d]", i), Offset: i, Size: 1})
	}
	call := cause{size: wordSize * 7, do: callHarmless, fields: []corpus.Field{
		{Name: "id", Offset: 0, Size: wordSize, Max: uint64(len(harmless()) - 1)},
	}}
	for i := range 6 {
		call.fields = append(call.fields, corpus.Field{Name: fmt.Sprintf("args[%d]", i), Offset: wordSize * (i + 1), Size: wordSize})
	}
	return map[string]cause{
		"task_rename": {size: nameSize, fields: name, do: rename},
		"sys_enter":   call,
		"sys_exit":    call,
	}
}

// rename gives the thread a name.
func rename(ctx []byte) {
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.SliceData(ctx))), 0)
}

// harmless lists system calls that ignore their arguments.
func harmless() [6]uintptr {
	return [...]uintptr{unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETTID}
}

// callHarmless makes a system call with arguments of the context.
func callHarmless(ctx []byte) {
	arg := func(i int) uintptr { return uintptr(binary.NativeEndian.Uint64(ctx[wordSize*i:])) }
	list := harmless()
	_, _, _ = unix.RawSyscall6(list[arg(0)%uintptr(len(list))], arg(1), arg(2), arg(3), arg(4), arg(5), arg(6))
}

// btfTracepointRow is of BTF tracepoints: BPF_PROG_RUN answers EFAULT, so they are
// attached, and the event is caused on the worker's thread. A gate in front of the
// program keeps the events of others out.
func btfTracepointRow() programType {
	return programType{
		kind: "tp_btf", fix: noFix,
		noPacket: true, result: noResult, needsContext: true, answer: noAnswer,
		special: specialCause, open: openCause, gated: true,
	}
}

func specialCause(row *programType, prog *ebpf.ProgramSpec) error {
	all := causes()
	c, ok := all[prog.AttachTo]
	if !ok {
		return fmt.Errorf("BPF_PROG_RUN answers EFAULT to BTF tracepoints, so the event has to be caused, which can be done for %s and not for %q; a raw_tp program of that tracepoint can be run with any arguments",
			strings.Join(slices.Sorted(maps.Keys(all)), ", "), prog.AttachTo)
	}
	row.contextSize = c.size
	row.context = func(int, *machine) []corpus.Field { return c.fields }
	row.cause = c.do
	return nil
}

// openCause attaches the program behind its gate.
func openCause(t *Target, inst *instance) error {
	gate, err := kernel.MapMemory(inst.coll.Maps[gateMap].FD(), gateSize)
	if err != nil {
		return err
	}
	inst.also(func() error { return kernel.Unmap(gate) })
	if err := openTracing(t, inst); err != nil {
		return err
	}
	tid := uint32(unix.Gettid())
	inst.cause = func(ctx []byte) syscall.Errno {
		binary.NativeEndian.PutUint32(gate, tid)
		t.row.cause(ctx)
		binary.NativeEndian.PutUint32(gate, 0)
		return 0
	}
	return nil
}

const gateSize = 8

func newGateMap() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: gateMap, Type: ebpf.Array, KeySize: 4, ValueSize: gateSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE}
}

// gate puts instructions in front of a program that let only the thread pass whose
// number is in the gate's map. R6 is free: nothing is in it where a program begins.
func gate(code asm.Instructions) asm.Instructions {
	pass := asm.JEq.Reg32(asm.R0, asm.R2, "")
	pass.Offset = 2
	symbol, fn, source := code[0].Symbol(), btf.FuncMetadata(&code[0]), code[0].Source()
	first := code[0].WithSymbol("")
	if fn != nil {
		first = btf.WithFuncMetadata(first, nil)
	}
	head := asm.Instructions{
		btf.WithFuncMetadata(asm.Mov.Reg(asm.R6, asm.R1).WithSource(source), fn).WithSymbol(symbol),
		asm.FnGetCurrentPidTgid.Call(),
		asm.LoadMapValue(asm.R1, 0, 0).WithReference(gateMap),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		pass.WithReference(""),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Reg(asm.R1, asm.R6),
		first,
	}
	return append(head, code[1:]...)
}
