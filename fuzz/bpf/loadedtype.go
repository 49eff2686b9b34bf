package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// typed returns the row of a loaded program with its context described, as far as
// the kernel tells, and a note where it is only bytes. The program has not run by
// then.
func (l *Loaded) typed() (programType, string, error) {
	row, spec, note := l.row, *l.spec, ""
	if row.special == nil {
		return row, "", nil
	}
	var err error
	switch spec.Type {
	case ebpf.RawTracepoint:
		spec.AttachTo, note, err = l.tracepoint()
	case ebpf.Syscall:
		note = l.readCode(&spec)
	case ebpf.StructOps:
		spec.AttachTo, err = l.operation()
	}
	if err == nil {
		err = row.special(&row, &spec)
	}
	if err != nil {
		return row, "", fmt.Errorf("program %q of type %s: %w", l.name, row.kind, err)
	}
	return row, note, nil
}

// tracepoint returns the name of the tracepoint that the program is attached to.
// The kernel keeps it with the link alone.
func (l *Loaded) tracepoint() (name, note string, err error) {
	info, err := l.prog.Info()
	if err != nil {
		return "", "", fmt.Errorf("asking what it is attached to: %w", err)
	}
	id, _ := info.ID()
	names, err := tracepointsOf(id)
	for range listings {
		if err == nil {
			break
		}
		names, err = tracepointsOf(id)
	}
	switch {
	case err != nil:
		note = fmt.Sprintf("its links cannot be listed (%v)", err)
	case len(names) == 0:
		note = "it is attached to no tracepoint, so nothing says what its arguments are"
	case len(names) == 1:
		return names[0], "", nil
	default:
		note = fmt.Sprintf("it is attached to several tracepoints, %s", strings.Join(names, ", "))
	}
	return "", fmt.Sprintf("%s: they are %d numbers", note, maxArguments), nil
}

// listings is how often links are listed anew: it fails where somebody is about to
// make one (EAGAIN), which takes microseconds.
const listings = 100

// tracepointsOf returns the raw tracepoints that a program is attached to.
func tracepointsOf(id ebpf.ProgramID) ([]string, error) {
	var names []string
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil || info.Program != id {
			continue // one that cannot be asked says as little as one that is gone
		}
		if tp := info.RawTracepoint(); tp != nil && !slices.Contains(names, tp.Name) {
			names = append(names, tp.Name)
		}
	}
	return names, it.Err()
}

// readCode puts the instructions of the program into spec, with the BTF of its
// functions, from which the type of its argument follows.
func (l *Loaded) readCode(spec *ebpf.ProgramSpec) (note string) {
	info, err := l.prog.Info()
	if err == nil {
		spec.Instructions, err = info.Instructions()
	}
	if err != nil {
		return fmt.Sprintf("the kernel does not show the program: %v", err)
	}
	return ""
}

// operation returns "bpf_dummy_ops:MEMBER", the operation that the program stands
// for. The kernel does not say which one it is, but its type is told by how
// many arguments the kernel takes, and for the name there is the program's.
func (l *Loaded) operation() (string, error) {
	members, err := dummyMembers()
	if err != nil {
		return "", err
	}
	slices.SortStableFunc(members, func(a, b btf.Member) int { return likeness(l.name, b.Name) - likeness(l.name, a.Name) })
	var answer syscall.Errno
	for _, m := range members {
		params := len(protoOf(m.Type).Params)
		if answer = l.tryArguments(params); answer == unix.EFAULT {
			return dummyOps + ":" + m.Name, nil
		}
		if answer != unix.EINVAL { // which says that it has another number of arguments
			break
		}
	}
	if answer == unix.EOPNOTSUPP {
		return "", fmt.Errorf("BPF_PROG_RUN answers EOPNOTSUPP: it runs members of %s only, and the program stands for an operation of another structure; fuzz what it calls from a program of another type", dummyOps)
	}
	return "", fmt.Errorf("BPF_PROG_RUN answers %d (%w) to the arguments of every member of %s%s: give its object", int(answer), answer, dummyOps, kernel.Explain(answer))
}

// likeness is 2 where a program has the name of a member, 1 where the member's is
// part of it, else 0.
func likeness(program, member string) int {
	switch {
	case program == member:
		return 2
	case strings.Contains(program, member):
		return 1
	}
	return 0
}

// tryArguments returns the kernel's answer to n arguments of which the first points
// nowhere, so that the program does not run: EFAULT where n is right.
func (l *Loaded) tryArguments(n int) syscall.Errno {
	words := make([]byte, wordSize*n)
	putInteger(words[:wordSize], 1, false)
	run := kernel.NewRun(l.prog.FD())
	run.SetContext(words, nil)
	return run.Do()
}

// dummyMembers returns the operations that BPF_PROG_RUN runs, those with most
// arguments first.
func dummyMembers() ([]btf.Member, error) {
	_, ops, err := dummyOperations()
	if err != nil {
		return nil, err
	}
	members := slices.DeleteFunc(slices.Clone(ops.Members), func(m btf.Member) bool {
		proto := protoOf(m.Type)
		return proto == nil || len(proto.Params) == 0 || !isPointer(proto.Params[0].Type)
	})
	if len(members) == 0 {
		return nil, errors.New(dummyOps + " has no operation on this kernel that takes a state")
	}
	slices.SortStableFunc(members, func(a, b btf.Member) int {
		return len(protoOf(b.Type).Params) - len(protoOf(a.Type).Params)
	})
	return members, nil
}

func isPointer(typ btf.Type) bool {
	_, ok := stripType(typ).typ.(*btf.Pointer)
	return ok
}
