package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const (
	// wordSize is the size of an argument.
	wordSize = 8
	// maxPointee bounds what an argument points to, in bytes: what lies further
	// inside of a large struct reads as zero.
	maxPointee = 1024
	// textPointee is how long text is that a char pointer points to, the last byte
	// of which is always 0.
	textPointee = 32
	// maxArguments is how many the kernel passes.
	maxArguments = 12
)

// arguments describes a context that is an array of u64 arguments. That of an input
// has the arguments, then what those among them point to that are pointers; the
// kernel is given the arguments alone. In place of a pointer an input has a flag
// that makes it NULL.
type arguments struct {
	n        int
	pointers []pointer
	fields   []corpus.Field
	size     int // of an input's context
}

// pointer is an argument that points to size bytes, at offset at of the context.
type pointer struct{ arg, at, size int }

// param is the type of an argument, and whether it may be NULL where it is a pointer.
type param struct {
	typ      btf.Type
	nullable bool
}

// newArguments lays out a context for arguments of these types. A nil type is an
// integer of 64 bits.
func newArguments(params []param) *arguments {
	a := &arguments{n: len(params), size: wordSize * len(params)}
	var pointees []corpus.Field
	for i, p := range params {
		name := fmt.Sprintf("args[%d]", i)
		if ptr, ok := stripType(p.typ).typ.(*btf.Pointer); ok {
			if p.nullable {
				a.fields = append(a.fields, corpus.Field{Name: name + ".null", Offset: wordSize * i, Size: wordSize, Max: 1, Values: []uint64{0, 1}})
			}
			pointees = append(pointees, a.point(i, name, ptr.Target)...)
			continue
		}
		a.fields = append(a.fields, argumentField(i, name, p.typ)...)
	}
	a.fields = append(a.fields, pointees...)
	return a
}

// argumentField is the field of an argument that is an integer. Narrow ones lie where
// the program finds the low bytes of the word.
func argumentField(i int, name string, typ btf.Type) []corpus.Field {
	fields := []corpus.Field{{Size: wordSize}}
	if typ != nil {
		if fields = flatten(typ, wordSize); len(fields) != 1 {
			return nil // a struct by value, or nothing that could be set
		}
	}
	f := &fields[0]
	f.Name, f.Offset = name, wordSize*i
	if bigMachine() {
		f.Offset += wordSize - f.Size
	}
	return fields
}

// point makes room for what an argument points to and returns its fields.
func (a *arguments) point(i int, name string, target btf.Type) []corpus.Field {
	target = stripType(target).typ
	text := false
	if n, ok := target.(*btf.Int); ok && n.Size == 1 {
		target, text = &btf.Array{Type: target, Nelems: textPointee - 1}, true
	}
	if _, ok := target.(*btf.FuncProto); ok {
		return nil // stays NULL
	}
	size := int(min(sizeOf(target), maxPointee))
	if size <= 0 { // void, or a struct that is only declared
		target, size = &btf.Array{Type: &btf.Int{Size: wordSize}, Nelems: wordSize}, wordSize*wordSize
	}
	fields := flatten(target, size)
	for k := range fields {
		fields[k].Name = joinName(name, fields[k].Name)
		fields[k].Offset += a.size
	}
	if text {
		size = textPointee
	}
	a.pointers = append(a.pointers, pointer{arg: i, at: a.size, size: size})
	a.size += (size + wordSize - 1) &^ (wordSize - 1)
	return fields
}

// pointees is how many bytes the pointees occupy, from the end of the arguments.
func (a *arguments) pointees() int { return a.size - wordSize*a.n }

// passing turns contexts of inputs into those that the kernel is given.
type passing struct {
	*arguments
	words []byte // for the kernel
	mem   []byte // where the pointees go
	base  uint64 // the address of mem in the program's eyes
}

// pass returns the context for the kernel, and brings the pointees to their place.
func (p *passing) pass(ctx []byte) []byte {
	copy(p.words, ctx)
	first := wordSize * p.n
	copy(p.mem, ctx[first:p.size])
	for _, ptr := range p.pointers {
		word := p.words[wordSize*ptr.arg:][:wordSize]
		address := uint64(0)
		if binary.NativeEndian.Uint64(word) == 0 {
			address = p.base + uint64(ptr.at-first)
		}
		binary.NativeEndian.PutUint64(word, address)
	}
	return p.words
}

// answer appends what the run left in the context of an input to dst.
func (p *passing) answer(dst, ctx []byte) []byte {
	dst = append(dst, ctx[:wordSize*p.n]...)
	return append(dst, p.mem...)
}
