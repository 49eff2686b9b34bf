package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const (
	// maxSyscallContext is U16_MAX, the kernel's bound for the context of a program
	// of type syscall.
	maxSyscallContext = 65535
	// plainWords is the least size of a context of which BTF says nothing, in words.
	plainWords = 32
	// maxPlainWords bounds it.
	maxPlainWords = 512
)

// syscallRow is of programs that user space calls with a structure of their own,
// which they read and write in place.
func syscallRow() programType {
	return programType{
		kind: "syscall", fix: noFix,
		noPacket: true, result: noResult, needsContext: true, answer: inPlace,
		special: specialSyscall,
	}
}

// specialSyscall takes the context from the type of the program's argument.
func specialSyscall(row *programType, prog *ebpf.ProgramSpec) error {
	typ := argumentOf(prog)
	size := sizeOf(typ)
	if size <= 0 { // void *, or no BTF
		n := max(plainWords, furthestWord(prog))
		typ = &btf.Array{Type: &btf.Int{Size: wordSize}, Nelems: uint32(n)}
		size = wordSize * int64(n)
		row.note = fmt.Sprintf("no BTF says what its argument points to, so it is %d bytes of which nothing is known", size)
	}
	if size > maxSyscallContext {
		return fmt.Errorf("its argument %s has %d bytes, and the kernel takes at most %d", typ.TypeName(), size, maxSyscallContext)
	}
	fields := flatten(typ, int(size))
	row.contextSize, row.output = int(size), fields
	row.context = func(int, *machine) []corpus.Field { return fields }
	return nil
}

// argumentOf returns what the only argument of a program points to, or nil.
func argumentOf(prog *ebpf.ProgramSpec) btf.Type {
	if len(prog.Instructions) == 0 {
		return nil
	}
	fn := btf.FuncMetadata(&prog.Instructions[0])
	if fn == nil {
		return nil
	}
	proto, ok := stripType(fn.Type).typ.(*btf.FuncProto)
	if !ok || len(proto.Params) != 1 {
		return nil
	}
	ptr, ok := stripType(proto.Params[0].Type).typ.(*btf.Pointer)
	if !ok {
		return nil
	}
	return stripType(ptr.Target).typ
}

// furthestWord returns how many words a context needs for all that the program may
// read of it: the kernel refuses a shorter one. Whatever is read of other pointers
// counts as well, since one that is too long does no harm.
func furthestWord(prog *ebpf.ProgramSpec) int {
	furthest := 0
	for i := range prog.Instructions {
		ins := &prog.Instructions[i]
		memory := ins.OpCode.Class().IsLoad() && ins.Src != asm.R10 || ins.OpCode.Class().IsStore() && ins.Dst != asm.R10
		if memory && ins.Offset >= 0 {
			furthest = max(furthest, int(ins.Offset)/wordSize+1)
		}
	}
	return min(furthest, maxPlainWords)
}
