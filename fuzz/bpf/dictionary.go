package bpf

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const (
	// maxWords bounds the dictionary: a mutator picks one word at random, so each
	// more makes every other one rarer.
	maxWords = 1024
	// maxWord is the longest word in bytes; longer ones are contents, not words.
	maxWord = 64
	// maxElements bounds how many elements of one constant array become words.
	maxElements = 64
)

// newDictionary collects byte strings that the programs compare packets, contexts
// and map contents with: immediate operands, constants, enums of the types in
// use, and initial contents of maps. The order is fixed by the object.
func newDictionary(spec *ebpf.CollectionSpec, programs []*ebpf.ProgramSpec) [][]byte {
	d := dictionary{seen: map[string]bool{}}
	for _, p := range programs {
		for i := range p.Instructions {
			d.instruction(&p.Instructions[i])
		}
	}
	names := mapsOf(spec, programs)
	for _, name := range names {
		if isConstant(name) {
			d.constants(spec.Maps[name])
		}
	}
	for _, name := range names {
		if !isConstant(name) {
			d.mapTypes(spec.Maps[name])
			d.contents(spec.Maps[name])
		}
	}
	for _, p := range programs {
		d.functions(p.Instructions)
	}
	return d.words
}

type dictionary struct {
	words [][]byte
	seen  map[string]bool
}

// add keeps a word unless it is known, too long, or what havoc tries anyway: a
// single byte, or one byte repeated.
func (d *dictionary) add(word []byte) {
	if len(d.words) >= maxWords || len(word) < 2 || len(word) > maxWord || d.seen[string(word)] {
		return
	}
	if bytes.Count(word, word[:1]) == len(word) {
		return
	}
	word = bytes.Clone(word)
	d.seen[string(word)] = true
	d.words = append(d.words, word)
}

// instruction takes the operands of comparisons and stores, and constants that
// need an instruction of their own.
func (d *dictionary) instruction(ins *asm.Instruction) {
	op := ins.OpCode
	switch class := op.Class(); {
	case class.IsJump() && op.Source() == asm.ImmSource && compares(op.JumpOp()):
		d.number(ins.Constant)
	case class == asm.StClass:
		d.number(ins.Constant)
	case ins.IsConstantLoad(asm.DWord) && ins.Src == 0 && ins.Reference() == "":
		d.number(ins.Constant)
	case class.IsALU() && op.Source() == asm.ImmSource && op.ALUOp() == asm.Add && ins.Constant < -stackSize:
		d.number(-ins.Constant) // "x in K..K+n" is compiled to "x - K <= n"
	case class.IsALU() && op.Source() == asm.ImmSource && (op.ALUOp() == asm.Mov || op.ALUOp() == asm.Xor):
		if ins.Constant > 0xff || ins.Constant < -maxErrno {
			d.number(ins.Constant)
		}
	}
}

const (
	stackSize = 512  // of a BPF program: smaller constants are mostly offsets in it
	maxErrno  = 4095 // negative numbers down to this are mostly errors
)

func compares(op asm.JumpOp) bool {
	switch op {
	case asm.Ja, asm.Call, asm.Exit, asm.JCOND, asm.InvalidJumpOp:
		return false
	}
	return true
}

// number adds a constant in both byte orders, in the width that it needs and in
// the next one. The bytes of htons(0x0800) are 08 00, so small numbers count.
func (d *dictionary) number(n int64) {
	if n >= -maxErrno && n <= 1 {
		return
	}
	u := uint64(n)
	if n < 0 && n >= -1<<31 {
		u = uint64(uint32(n)) // a sign-extended 32-bit operand
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], u)
	widths := [2]int{2, 4}
	switch {
	case u < 1<<8:
		widths[1] = 2
	case u >= 1<<32:
		widths = [2]int{8, 8}
	case u >= 1<<16:
		widths = [2]int{4, 8}
	}
	for _, w := range widths {
		word := bytes.Clone(b[8-w:])
		d.add(word)
		slices.Reverse(word)
		d.add(word)
	}
}

// constants adds the variables of a read-only section: words as they are, arrays
// by element, and the strings in it where the object has no BTF.
func (d *dictionary) constants(m *ebpf.MapSpec) {
	if len(m.Contents) == 0 {
		return
	}
	data, _ := m.Contents[0].Value.([]byte)
	sec, ok := m.Value.(*btf.Datasec)
	if !ok {
		for _, s := range bytes.Split(data, []byte{0}) {
			d.text(s)
		}
		return
	}
	for _, s := range sec.Vars {
		end := uint64(s.Offset) + uint64(s.Size)
		if v, ok := s.Type.(*btf.Var); ok && end <= uint64(len(data)) {
			d.variable(v.Type, data[s.Offset:end])
		}
	}
}

func (d *dictionary) variable(typ btf.Type, data []byte) {
	typ = stripType(typ).typ
	if isCharArray(typ) {
		d.text(bytes.TrimRight(data, "\x00"))
		return
	}
	a, ok := typ.(*btf.Array)
	if !ok || len(data) <= 16 {
		d.add(data)
	}
	if !ok {
		return
	}
	if size := sizeOf(a.Type); size > 0 {
		for i := 0; i < maxElements && int64(len(data)) >= size; i++ {
			d.add(data[:size])
			data = data[size:]
		}
	}
}

// text adds a string unless it is a format for bpf_printk.
func (d *dictionary) text(s []byte) {
	if len(s) >= 3 && !bytes.ContainsAny(s, "%\n") {
		d.add(s)
	}
}

func (d *dictionary) mapTypes(m *ebpf.MapSpec) {
	w := walker{visit: d.enum}
	w.walk(m.Key, 0)
	w.walk(m.Value, 0)
}

// functions adds the enums among parameters and results.
func (d *dictionary) functions(insns asm.Instructions) {
	w := walker{visit: d.enum}
	for i := range insns {
		fn := btf.FuncMetadata(&insns[i])
		if fn == nil {
			continue
		}
		if proto, ok := fn.Type.(*btf.FuncProto); ok {
			w.walk(proto.Return, 0)
			for _, p := range proto.Params {
				if ptr, ok := stripType(p.Type).typ.(*btf.Pointer); ok {
					w.walk(ptr.Target, 0)
					continue
				}
				w.walk(p.Type, 0)
			}
		}
	}
}

func (d *dictionary) enum(typ btf.Type) {
	if e, ok := typ.(*btf.Enum); ok {
		for _, v := range e.Values[:min(len(e.Values), maxElements)] {
			d.number(int64(v.Value))
		}
	}
}

// contents adds initial keys and values, as a whole and by member: packets have
// an address and a port in another order than the key that is made of them.
func (d *dictionary) contents(m *ebpf.MapSpec) {
	key, value := flatten(m.Key, int(m.KeySize)), flatten(m.Value, int(m.ValueSize))
	for _, kv := range m.Contents[:min(len(m.Contents), maxElements)] {
		d.members(key, bytesOf(kv.Key))
		d.members(value, bytesOf(kv.Value))
	}
}

func (d *dictionary) members(fields []corpus.Field, data []byte) {
	d.add(data)
	for _, f := range fields {
		if end := f.Offset + f.Size; end <= len(data) {
			d.add(data[f.Offset:end])
		}
	}
}

// bytesOf returns a key or value of MapSpec.Contents as the library would store
// it, or nil where it is no data.
func bytesOf(v any) []byte {
	switch v := v.(type) {
	case nil, string:
		return nil
	case []byte:
		return v
	}
	raw, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		return nil
	}
	return raw
}
