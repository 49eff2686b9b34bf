package bpf

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// setSection overwrites the contents of a section of an object in memory.
func setSection(object []byte, name string, contents []byte) error {
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return fmt.Errorf("setting variables in section %s of the object: %w", name, err)
	}
	s := f.Section(name)
	if s == nil || s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(object)) || uint64(len(contents)) > uint64(len(object))-s.Offset || s.Size < uint64(len(contents)) {
		return fmt.Errorf("section %s of the object has no room for the %d bytes of its variables", name, len(contents))
	}
	copy(object[s.Offset:], contents)
	return nil
}
