// Package bpf makes an eBPF program a target of the fuzzer: it loads an object,
// instruments its programs, and runs them in the kernel.
package bpf

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// maxObject bounds the size of an object file in bytes.
const maxObject = 256 << 20

// Object is a compiled BPF object. It is immutable and safe for concurrent use.
type Object struct {
	// Name says where the object comes from: a path, or what the caller gave.
	Name string
	// Notes say what was changed so that the object can be loaded.
	Notes []string
	spec  *ebpf.CollectionSpec
}

// Open reads a compiled object file. Errors say whether the file is missing, no
// ELF file, no BPF object, or without a program.
func Open(path string) (*Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening object: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening object: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxObject {
		return nil, fmt.Errorf("opening object %s: not a regular file of at most %d MiB", path, maxObject>>20)
	}
	return Read(path, f)
}

// Read reads a compiled object. Name is for messages.
func Read(name string, r io.ReaderAt) (*Object, error) {
	magic := make([]byte, 4)
	if _, err := r.ReadAt(magic, 0); err != nil || !bytes.Equal(magic, []byte("\x7fELF")) {
		return nil, fmt.Errorf("reading object %s: not an ELF file; give the .o that clang -target bpf made", name)
	}
	if err := checkSections(r); err != nil {
		return nil, fmt.Errorf("reading object %s: %w", name, err)
	}
	spec, err := parse(r)
	if err != nil {
		return nil, fmt.Errorf("reading object %s: %w", name, err)
	}
	if len(spec.Programs) == 0 {
		return nil, fmt.Errorf("reading object %s: it has no BPF program", name)
	}
	return FromSpec(name, spec), nil
}

// checkSections refuses sections without bytes in the file, such as .bss, that are
// so large that reading the object would take all memory.
func checkSections(r io.ReaderAt) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed ELF: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return err
	}
	for _, s := range f.Sections {
		if s.Size > maxObject {
			return fmt.Errorf("section %q claims %d bytes, at most %d MiB are read", s.Name, s.Size, maxObject>>20)
		}
		if s.Name == ".struct_ops" {
			return errors.New("it has a section .struct_ops, which cannot be read: put the variable into SEC(\".struct_ops.link\"), which is the same but for how it is attached")
		}
	}
	return nil
}

// parse turns a panic of the ELF reader into an error: the file is the user's, and
// may be anything.
func parse(r io.ReaderAt) (spec *ebpf.CollectionSpec, err error) {
	defer func() {
		if p := recover(); p != nil {
			spec, err = nil, fmt.Errorf("malformed ELF: %v", p)
		}
	}()
	return ebpf.LoadCollectionSpecFromReader(r)
}

// FromSpec takes a collection that bpf2go or the caller loaded. The spec is copied.
func FromSpec(name string, spec *ebpf.CollectionSpec) *Object {
	o := &Object{Name: name, spec: spec.Copy()}
	if o.spec.Maps == nil {
		o.spec.Maps = map[string]*ebpf.MapSpec{} // the coverage map joins them
	}
	for _, mapName := range slices.Sorted(maps.Keys(o.spec.Maps)) {
		o.mend(mapName, o.spec.Maps[mapName])
	}
	for _, p := range o.spec.Programs {
		o.linkCallback(p)
	}
	return o
}

// Sizes for maps that an object leaves to its loader.
const (
	loaderEntries = 1024
	loaderValue   = 64
)

// mend makes a map one that the kernel accepts and that touches nothing outside:
// no pinning, and sizes where the object leaves them to its loader.
func (o *Object) mend(name string, m *ebpf.MapSpec) {
	note := func(format string, args ...any) {
		o.Notes = append(o.Notes, fmt.Sprintf("map %q: ", name)+fmt.Sprintf(format, args...))
	}
	m.Pinning = ebpf.PinNone
	m.Extra = nil
	m.Flags &^= unix.BPF_F_RDONLY | unix.BPF_F_WRONLY // restrictions on userspace, which has to set and restore values
	switch m.Type {
	case ebpf.RingBuf, ebpf.UserRingbuf:
		page := uint32(os.Getpagesize())
		if size := max(m.MaxEntries, page); size&(size-1) != 0 || size != m.MaxEntries {
			m.MaxEntries = 1 << bits.Len32(size-1)
			note("a ring buffer of %d bytes stands in for the size that the loader sets", m.MaxEntries)
		}
	case ebpf.PerfEventArray, ebpf.Arena, ebpf.StructOpsMap, ebpf.SkStorage, ebpf.TaskStorage, ebpf.InodeStorage,
		ebpf.CgroupStorage, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage:
		// no entries, or as many as the library chooses
	default:
		if m.MaxEntries == 0 {
			m.MaxEntries = loaderEntries
			note("%d entries stand in for the number that the loader sets", m.MaxEntries)
		}
	}
	if (m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps) && m.InnerMap == nil {
		m.InnerMap = &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: loaderValue, MaxEntries: 1}
		note("an array with one value of %d bytes stands in for the inner map that the loader sets", loaderValue)
	}
}

// ProgramInfo names a program of an object.
type ProgramInfo struct {
	Name, Section string
	// Type is the library's name, "UnspecifiedProgram" for a section that says nothing.
	Type string
	// Runnable is nil when the program can be fuzzed, else it says why not.
	Runnable error
}

// Programs lists the programs of the object by name.
func (o *Object) Programs() []ProgramInfo {
	var list []ProgramInfo
	for _, name := range slices.Sorted(maps.Keys(o.spec.Programs)) {
		p := o.spec.Programs[name]
		_, err := rowOf(p)
		list = append(list, ProgramInfo{Name: name, Section: p.SectionName, Type: p.Type.String(), Runnable: err})
	}
	return list
}

// choose returns the program with that name, or the only one that can be fuzzed.
func (o *Object) choose(name string) (string, error) {
	var all, runnable []string
	for _, p := range o.Programs() {
		all = append(all, p.Name)
		if p.Runnable == nil {
			runnable = append(runnable, p.Name)
		}
	}
	if name == "" {
		switch len(runnable) {
		case 1:
			name = runnable[0]
		case 0:
			_, err := rowOf(o.spec.Programs[all[0]])
			return "", fmt.Errorf("object %s has no program that can be fuzzed: %w", o.Name, err)
		default:
			return "", fmt.Errorf("object %s has %d programs, choose one with -p: %s", o.Name, len(runnable), strings.Join(runnable, ", "))
		}
	}
	p := o.spec.Programs[name]
	if p == nil {
		return "", fmt.Errorf("object %s has no program %q; it has %s", o.Name, name, strings.Join(all, ", "))
	}
	if p.Type == ebpf.UnspecifiedProgram {
		return "", fmt.Errorf("program %q of %s is in section %q, which says nothing of its type; name the section as libbpf does, such as \"xdp\" or \"tc\"", name, o.Name, p.SectionName)
	}
	if _, err := rowOf(p); err != nil {
		return "", fmt.Errorf("object %s: %w", o.Name, err)
	}
	return name, nil
}
