package rewrite

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf/asm"
)

// Data is a section of global data that is added, such as ".data.clock". Loaders make an
// array map with one value of it.
type Data struct {
	Name     string
	Contents []byte
}

// Call is a call of a helper.
type Call struct {
	Helper asm.BuiltinFunc
	// Func is the function in which it is, "" where the object does not say, and Slot
	// how many slots behind its beginning.
	Func string
	Slot int
}

// Calls replaces calls of helpers in all code of an object. Code returns what takes the
// place of a call, nil where it stays; it refers to the data by its names and keeps all
// jumps within itself.
//
// Errors say what of the object keeps it from being changed.
func Calls(b []byte, code func(Call) asm.Instructions, data []Data) ([]byte, error) {
	o, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading the object: %w", err)
	}
	symbols := map[string]int{}
	for _, d := range data {
		symbols[d.Name] = o.addData(d.Name, d.Contents)
	}
	moves := map[int]*move{}
	for _, index := range o.codeSections() {
		m, err := o.plan(index, code)
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", o.sections[index].name, err)
		}
		if m.grown() {
			moves[index] = m
		}
	}
	for _, index := range o.codeSections() {
		if err := o.rewrite(index, moves, symbols); err != nil {
			return nil, fmt.Errorf("section %s: %w", o.sections[index].name, err)
		}
	}
	o.moveSymbols(moves)
	if err := o.moveBTF(moves); err != nil {
		return nil, err
	}
	return o.write(), nil
}

// move says where the instructions of a section go.
type move struct {
	to   []int         // slot by slot, and the end
	code map[int][]ins // what takes the place of a slot
}

// ins is a slot of new code, and the data that it refers to, "" for none.
type ins struct {
	raw  [slot]byte
	data string
}

func (m *move) grown() bool { return len(m.code) > 0 }

// plan finds the calls of a section.
func (o *object) plan(index int, code func(Call) asm.Instructions) (*move, error) {
	data := o.sections[index].data
	if len(data)%slot != 0 {
		return nil, errMalformed
	}
	m := &move{to: make([]int, len(data)/slot+1), code: map[int][]ins{}}
	relocated, err := o.relocated(index)
	if err != nil {
		return nil, err
	}
	at := 0
	for i := 0; i < len(data)/slot; i++ {
		m.to[i] = at
		in := data[i*slot:]
		if in[0] == wide && i+1 < len(data)/slot {
			m.to[i+1] = at + 1
			i, at = i+1, at+2
			continue
		}
		at++
		if in[0] != call || o.source(in) != 0 || relocated[i] {
			continue
		}
		c := Call{Helper: asm.BuiltinFunc(o.order.Uint32(in[4:]))}
		c.Func, c.Slot = o.function(index, i)
		list := code(c)
		if list == nil {
			continue
		}
		if m.code[i], err = o.assemble(list); err != nil {
			return nil, err
		}
		at += len(m.code[i]) - 1
	}
	m.to[len(data)/slot] = at
	return m, nil
}

// function returns the function that has a slot of a section, and the slot in it.
func (o *object) function(index, at int) (name string, in int) {
	for i := range o.symbols {
		s := &o.symbols[i]
		from, to := int(s.Value/slot), int((s.Value+s.Size)/slot)
		if int(s.Shndx) == index && elf.ST_TYPE(s.Info) == elf.STT_FUNC && at >= from && at < to {
			return text(o.sections[o.sections[o.symtab].Link].data, s.Name), at - from
		}
	}
	return "", 0
}

// Opcodes that are looked at, and what the source register of calls and wide loads says.
const (
	wide = 0x18 // load of an immediate of 64 bits
	call = 0x85
	far  = 0x06 // a jump whose distance is the immediate

	pseudoCall = 1
	pseudoFunc = 4
)

// source returns the source register of an instruction.
func (o *object) source(in []byte) byte {
	if o.order.Uint16([]byte{0, 1}) == 1 { // big-endian
		return in[1] & 15
	}
	return in[1] >> 4
}

// assemble turns instructions into slots.
func (o *object) assemble(list asm.Instructions) ([]ins, error) {
	var slots []ins
	for i := range list {
		var b bytes.Buffer
		in := list[i]
		if in.Reference() != "" {
			in.Src, in.Constant = 0, 0
		}
		if _, err := in.Marshal(&b, o.order); err != nil {
			return nil, err
		}
		for k := 0; k < b.Len(); k += slot {
			one := ins{}
			copy(one.raw[:], b.Bytes()[k:])
			if k == 0 {
				one.data = list[i].Reference()
			}
			slots = append(slots, one)
		}
	}
	return slots, nil
}

// relocated says which slots of a section have a relocation.
func (o *object) relocated(index int) (map[int]bool, error) {
	s, err := o.relocations(index)
	if s == nil || err != nil {
		return nil, err
	}
	list, err := o.readRelocations(s)
	all := map[int]bool{}
	for _, r := range list {
		all[int(r.Off/slot)] = true
	}
	return all, err
}

// rewrite writes the code of a section anew: what it calls may have moved even where it
// has not.
func (o *object) rewrite(index int, moves map[int]*move, symbols map[string]int) error {
	s := o.sections[index]
	relocations, err := o.relocations(index)
	if err != nil {
		return err
	}
	var list []elf.Rel64
	if relocations != nil {
		if list, err = o.readRelocations(relocations); err != nil {
			return err
		}
	}
	if err := o.moveAddends(s, list, moves); err != nil {
		return err
	}
	m := moves[index]
	if m == nil {
		return nil
	}
	for i := range list {
		if list[i].Off/slot >= uint64(len(m.to)) {
			return errMalformed
		}
	}
	relocated, err := o.relocated(index)
	if err != nil {
		return err
	}
	var out []byte
	for i := 0; i < len(s.data)/slot; i++ {
		if slots, ok := m.code[i]; ok {
			for _, one := range slots {
				if one.data != "" {
					list = append(list, elf.Rel64{Off: uint64(len(out)) | fresh, Info: elf.R_INFO(uint32(symbols[one.data]), relocation)})
				}
				out = append(out, one.raw[:]...)
			}
			continue
		}
		in := s.data[i*slot : (i+1)*slot]
		if err := o.moveJump(in, i, m, relocated[i]); err != nil {
			return err
		}
		out = append(out, in...)
		if in[0] == wide && i+1 < len(s.data)/slot {
			i++
			out = append(out, s.data[i*slot:(i+1)*slot]...)
		}
	}
	for i := range list {
		if list[i].Off&fresh != 0 {
			list[i].Off &^= fresh
			continue
		}
		list[i].Off = uint64(m.to[list[i].Off/slot]*slot) + list[i].Off%slot
	}
	s.data = out
	o.setRelocations(index, relocations, list)
	return nil
}

const (
	// fresh marks the offset of a relocation that is of new code.
	fresh = 1 << 63
	// relocation is R_BPF_64_64: the address of a symbol in a wide load.
	relocation = 1
)

func (o *object) setRelocations(index int, s *section, list []elf.Rel64) {
	if s == nil {
		at := o.addSection(".rel"+o.sections[index].name, section{Section64: elf.Section64{
			Type: uint32(elf.SHT_REL), Link: uint32(o.symtab), Info: uint32(index), Addralign: 8, Entsize: relSize,
		}})
		s = o.sections[at]
	}
	s.data = o.encode(list)
}

// moveJump corrects the distance of a jump or a call within a section.
func (o *object) moveJump(in []byte, i int, m *move, relocated bool) error {
	class, op := in[0]&7, in[0]&0xf0
	target := func(distance int) (int, error) {
		t := i + 1 + distance
		if t < 0 || t >= len(m.to) {
			return 0, errMalformed
		}
		return m.to[t] - m.to[i] - 1, nil
	}
	immediate := in[0] == call && o.source(in) == pseudoCall || in[0] == wide && o.source(in) == pseudoFunc || in[0] == far
	switch {
	case immediate && relocated:
		return nil // its relocation says where it goes
	case immediate:
		d, err := target(int(int32(o.order.Uint32(in[4:]))))
		o.order.PutUint32(in[4:], uint32(int32(d)))
		return err
	case class != 5 && class != 6, op == 0x80, op == 0x90:
		return nil
	}
	d, err := target(int(int16(o.order.Uint16(in[2:]))))
	if err == nil && (d < math.MinInt16 || d > math.MaxInt16) {
		err = errors.New("a jump becomes too long")
	}
	o.order.PutUint16(in[2:], uint16(int16(d)))
	return err
}

// moveAddends corrects addresses of functions that are given by their section and an
// offset, which is in the instruction.
func (o *object) moveAddends(s *section, list []elf.Rel64, moves map[int]*move) error {
	for _, r := range list {
		sym := o.symbols[elf.R_SYM64(r.Info)]
		m := moves[int(sym.Shndx)]
		if m == nil || r.Off%slot != 0 || r.Off >= uint64(len(s.data)/slot*slot) {
			continue
		}
		in := s.data[r.Off:]
		addend := int(int32(o.order.Uint32(in[4:])))
		base := int(sym.Value / slot)
		at, back := addend+1, -1 // of a call: in instructions, less one
		if in[0] == wide {
			at, back = addend/slot, 0
		}
		if at += base; at < 0 || at >= len(m.to) || base >= len(m.to) {
			return errMalformed
		}
		moved := m.to[at] - m.to[base] + back
		if in[0] == wide {
			moved *= slot
		}
		o.order.PutUint32(in[4:], uint32(int32(moved)))
	}
	return nil
}

// moveSymbols corrects where functions begin, and how long they are.
func (o *object) moveSymbols(moves map[int]*move) {
	for i := range o.symbols {
		sym := &o.symbols[i]
		m := moves[int(sym.Shndx)]
		if m == nil || sym.Value%slot != 0 || sym.Value/slot >= uint64(len(m.to)) || (sym.Value+sym.Size)/slot >= uint64(len(m.to)) {
			continue
		}
		from, to := m.to[sym.Value/slot], m.to[(sym.Value+sym.Size)/slot]
		sym.Value, sym.Size = uint64(from*slot), uint64((to-from)*slot)
	}
}
