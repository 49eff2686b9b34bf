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
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

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
func harmless() []uintptr {
	return []uintptr{unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETTID}
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
	if err := openTracing(t, inst); err != nil {
		return err
	}
	inst.cause = func(ctx []byte) syscall.Errno {
		inst.gate.open()
		t.row.cause(ctx)
		inst.gate.shut()
		return 0
	}
	return nil
}
