// Package rewrite changes the code of a compiled object and gives an object again, which
// any loader takes: relocations, symbols and BTF follow the instructions that move.
package rewrite

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// slot is the size of an instruction in bytes; a wide one has two slots.
const slot = 8

// maxSections bounds the sections of an object that is read.
const maxSections = 1 << 14

// maxAlign bounds the alignment of a section in bytes.
const maxAlign = 1 << 16

// errMalformed says that the object is not what a compiler writes.
var errMalformed = errors.New("the object is malformed")

// section is a section with its contents.
type section struct {
	elf.Section64
	name string
	data []byte
}

func (s *section) isCode() bool {
	return s.Type == uint32(elf.SHT_PROGBITS) && s.Flags&uint64(elf.SHF_EXECINSTR) != 0 && len(s.data) > 0
}

// object is an object file of 64 bits in parts.
type object struct {
	head     elf.Header64
	order    binary.ByteOrder
	sections []*section
	symbols  []elf.Sym64
	symtab   int // index of the symbol table
}

// parse takes an object apart.
func parse(b []byte) (*object, error) {
	o := &object{order: binary.LittleEndian}
	if len(b) < 64 || elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, errMalformed
	}
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		o.order = binary.BigEndian
	}
	if err := binary.Read(bytes.NewReader(b), o.order, &o.head); err != nil {
		return nil, err
	}
	const size = 64
	if o.head.Shentsize != size || o.head.Shnum > maxSections || o.head.Shoff > uint64(len(b)) || uint64(len(b))-o.head.Shoff < size*uint64(o.head.Shnum) {
		return nil, errMalformed
	}
	for i := range int(o.head.Shnum) {
		s := &section{}
		if err := binary.Read(bytes.NewReader(b[int(o.head.Shoff)+size*i:]), o.order, &s.Section64); err != nil {
			return nil, err
		}
		if s.Addralign > maxAlign {
			return nil, errMalformed
		}
		if s.Type != uint32(elf.SHT_NOBITS) && s.Type != uint32(elf.SHT_NULL) {
			if s.Off > uint64(len(b)) || s.Size > uint64(len(b))-s.Off {
				return nil, errMalformed
			}
			s.data = bytes.Clone(b[s.Off : s.Off+s.Size])
		}
		o.sections = append(o.sections, s)
	}
	return o, o.name()
}

// name fills in names, and reads the symbols.
func (o *object) name() error {
	if int(o.head.Shstrndx) >= len(o.sections) {
		return errMalformed
	}
	names := o.sections[o.head.Shstrndx].data
	for i, s := range o.sections {
		s.name = text(names, s.Name)
		if s.Type == uint32(elf.SHT_SYMTAB) {
			o.symtab = i
		}
	}
	if o.symtab == 0 || int(o.sections[o.symtab].Link) >= len(o.sections) {
		return fmt.Errorf("%w: it has no symbols", errMalformed)
	}
	o.symbols = make([]elf.Sym64, len(o.sections[o.symtab].data)/elf.Sym64Size)
	return binary.Read(bytes.NewReader(o.sections[o.symtab].data), o.order, o.symbols)
}

// text returns the string at an offset of a table, "" where there is none.
func text(table []byte, at uint32) string {
	if uint64(at) >= uint64(len(table)) {
		return ""
	}
	name, _, _ := bytes.Cut(table[at:], []byte{0})
	return string(name)
}

// addString appends a string to a section of strings and returns its offset.
func (o *object) addString(index int, text string) uint32 {
	s := o.sections[index]
	at := len(s.data)
	s.data = append(append(s.data, text...), 0)
	return uint32(at)
}

// addSection adds a section and returns its index.
func (o *object) addSection(name string, s section) int {
	s.name, s.Name = name, o.addString(int(o.head.Shstrndx), name)
	o.sections = append(o.sections, &s)
	return len(o.sections) - 1
}

// addData adds a section of global data with a symbol for its start, and returns the
// symbol's number.
func (o *object) addData(name string, contents []byte) int {
	index := o.addSection(name, section{data: bytes.Clone(contents), Section64: elf.Section64{
		Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_WRITE), Addralign: 8,
	}})
	label := strings.ReplaceAll(strings.TrimPrefix(name, ".data."), ".", "_")
	o.symbols = append(o.symbols, elf.Sym64{
		Name: o.addString(int(o.sections[o.symtab].Link), label), Shndx: uint16(index), Size: uint64(len(contents)),
		Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT),
	})
	return len(o.symbols) - 1
}

// relocations returns the section with those of the section of an index; nil for none.
func (o *object) relocations(index int) (*section, error) {
	for _, s := range o.sections {
		if s.Info != uint32(index) || s.Type != uint32(elf.SHT_REL) && s.Type != uint32(elf.SHT_RELA) {
			continue
		}
		if s.Type == uint32(elf.SHT_RELA) {
			return nil, fmt.Errorf("section %s has relocations with addends, which compilers do not write for BPF", o.sections[index].name)
		}
		return s, nil
	}
	return nil, nil
}

// relSize is the size of a relocation in bytes.
const relSize = 16

func (o *object) readRelocations(s *section) ([]elf.Rel64, error) {
	list := make([]elf.Rel64, len(s.data)/relSize)
	err := binary.Read(bytes.NewReader(s.data), o.order, list)
	for _, r := range list {
		if int(elf.R_SYM64(r.Info)) >= len(o.symbols) {
			return nil, errMalformed
		}
	}
	return list, err
}

func (o *object) encode(v any) []byte {
	b, err := binary.Append(nil, o.order, v)
	if err != nil {
		panic("rewrite: " + err.Error()) // all that is passed has a fixed size
	}
	return b
}

// write puts the parts together.
func (o *object) write() []byte {
	o.sections[o.symtab].data = o.encode(o.symbols)
	b := make([]byte, 64)
	for _, s := range o.sections {
		if s.Type == uint32(elf.SHT_NOBITS) || s.Type == uint32(elf.SHT_NULL) {
			continue
		}
		align := int(max(s.Addralign, 1))
		b = append(b, make([]byte, (align-len(b)%align)%align)...)
		s.Off, s.Size = uint64(len(b)), uint64(len(s.data))
		b = append(b, s.data...)
	}
	b = append(b, make([]byte, (8-len(b)%8)%8)...)
	o.head.Shoff, o.head.Shnum = uint64(len(b)), uint16(len(o.sections))
	for _, s := range o.sections {
		b = append(b, o.encode(&s.Section64)...)
	}
	copy(b, o.encode(&o.head))
	return b
}

// codeSections lists the indices of sections with instructions.
func (o *object) codeSections() (list []int) {
	for i, s := range o.sections {
		if s.isCode() {
			list = append(list, i)
		}
	}
	return list
}
