package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// rawTracepointRow is of programs that are given the arguments of a tracepoint as
// they are. Where the section names one that the kernel has, BTF says what they
// are, and pointers point to memory that the input fills; else all are numbers.
func rawTracepointRow() programType {
	return programType{
		kind: "raw_tracepoint", fix: noFix, flags: corpus.OnCPU,
		noPacket: true, result: noResult, needsContext: true, answer: noAnswer,
		special: specialTracepoint,
	}
}

func specialTracepoint(row *programType, prog *ebpf.ProgramSpec) error {
	params, err := tracepointParams(prog.AttachTo)
	if err != nil {
		return err
	}
	row.takeArguments(newArguments(params))
	row.open = openTracepoint
	return nil
}

// takeArguments makes the context one of arguments.
func (row *programType) takeArguments(a *arguments) {
	row.args, row.contextSize = a, a.size
	row.context = func(int, *machine) []corpus.Field { return a.fields }
}

// tracepointParams returns the arguments of a tracepoint, "" for one that the
// section does not name.
func tracepointParams(name string) ([]param, error) {
	generic := make([]param, maxArguments)
	if name == "" {
		return generic, nil
	}
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return generic, nil // without BTF all that is known is that there are numbers
	}
	var def *btf.Typedef
	err = types.TypeByName("btf_trace_"+name, &def)
	if errors.Is(err, btf.ErrNotFound) {
		return generic, nil // a module's, or one of another kernel: nobody attaches the program here
	}
	if err != nil {
		return nil, fmt.Errorf("looking up tracepoint %q in the kernel's BTF: %w", name, err)
	}
	proto := protoOf(def.Type)
	if proto == nil || len(proto.Params) == 0 || len(proto.Params) > maxArguments+1 {
		return nil, fmt.Errorf("tracepoint %q has no function of at most %d arguments in the kernel's BTF", name, maxArguments)
	}
	var params []param
	for _, p := range proto.Params[1:] { // the first is the tracepoint's own
		params = append(params, param{typ: p.Type, nullable: true})
	}
	return params, nil
}

// protoOf returns the function that typ points to, nil where it does not.
func protoOf(typ btf.Type) *btf.FuncProto {
	ptr, ok := stripType(typ).typ.(*btf.Pointer)
	if !ok {
		return nil
	}
	proto, _ := stripType(ptr.Target).typ.(*btf.FuncProto)
	return proto
}

// openTracepoint makes a map whose value holds what arguments point to.
func openTracepoint(t *Target, inst *instance) error {
	a := t.row.args
	inst.passing = &passing{arguments: a, words: make([]byte, wordSize*a.n)}
	if len(a.pointers) == 0 {
		return nil
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "pointees", Type: ebpf.Array, KeySize: 4, MaxEntries: 1, ValueSize: uint32(a.pointees()), Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return fmt.Errorf("making memory for what arguments point to: %w%s", err, kernel.Explain(err))
	}
	inst.also(m.Close)
	mem, err := kernel.MapMemory(m.FD(), a.pointees())
	if err != nil {
		return err
	}
	inst.also(func() error { return kernel.Unmap(mem) })
	inst.passing.mem = mem[:a.pointees()]
	inst.passing.base, err = kernel.Address(m)
	return err
}
