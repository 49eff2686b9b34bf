package bpf

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// dummyOps is the one set of operations whose members BPF_PROG_RUN runs.
const dummyOps = "bpf_dummy_ops"

// structOpsRow is of programs that implement a member of bpf_dummy_ops: their
// first argument points to a state, which the kernel copies in and out.
func structOpsRow() programType {
	return programType{
		kind: "struct_ops", fix: noFix,
		noPacket: true, result: noResult, needsContext: true, answer: inPlace,
		special: specialStructOps,
	}
}

func specialStructOps(row *programType, prog *ebpf.ProgramSpec) error {
	ops, member, found := strings.Cut(prog.AttachTo, ":")
	if !found {
		return fmt.Errorf("no variable in section .struct_ops.link says which operation it implements")
	}
	if ops != dummyOps {
		return fmt.Errorf("it implements %s of %s, and BPF_PROG_RUN runs members of %s only (EOPNOTSUPP for others)", member, ops, dummyOps)
	}
	params, err := memberParams(member)
	if err != nil {
		return err
	}
	a := newArguments(params)
	row.takeArguments(a)
	row.output = a.fields
	row.open = openStructOps
	return nil
}

// memberParams returns the arguments of a member of bpf_dummy_ops.
func memberParams(member string) ([]param, error) {
	types, ops, err := dummyOperations()
	if err != nil {
		return nil, err
	}
	for _, m := range ops.Members {
		proto := protoOf(m.Type)
		if m.Name != member || proto == nil {
			continue
		}
		var params []param
		for i, p := range proto.Params {
			params = append(params, param{typ: p.Type, nullable: i == 0 && nullable(types, member)})
		}
		return params, nil
	}
	return nil, fmt.Errorf("%s has no operation %q on this kernel", dummyOps, member)
}

// dummyOperations returns the kernel's BTF and the operations that it has there.
func dummyOperations() (*btf.Spec, *btf.Struct, error) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, nil, fmt.Errorf("reading the kernel's BTF, which says what arguments operations have: %w", err)
	}
	var ops *btf.Struct
	if err := types.TypeByName(dummyOps, &ops); err != nil {
		return nil, nil, fmt.Errorf("looking up %s in the kernel's BTF: %w", dummyOps, err)
	}
	return types, ops, nil
}

// nullable reports whether the state of a member may be NULL. Kernels that let a
// member dereference it unchecked do not say so, and are not given NULL.
func nullable(types *btf.Spec, member string) bool {
	for _, name := range []string{dummyOps + "__" + member, "bpf_dummy_" + member} {
		var fn *btf.Func
		if types.TypeByName(name, &fn) != nil {
			continue
		}
		if proto, ok := fn.Type.(*btf.FuncProto); ok && len(proto.Params) > 0 {
			return strings.HasSuffix(proto.Params[0].Name, "__nullable")
		}
	}
	return false
}

// openStructOps makes the memory from which the kernel copies the state.
func openStructOps(t *Target, inst *instance) error {
	a := t.row.args
	p := &passing{arguments: a, words: make([]byte, wordSize*a.n), mem: make([]byte, a.pointees())}
	if len(p.mem) > 0 {
		// The kernel is given a number, so nothing but inst.passing keeps the memory.
		p.base = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p.mem))))
	}
	inst.passing = p
	return nil
}
