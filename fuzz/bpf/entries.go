package bpf

import (
	"bytes"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// entries is a map that is read and written by system calls.
type entries struct {
	name      string
	fast      *kernel.Map
	fixed     bool // an array: entries cannot be deleted
	keySize   int
	valueSize int               // of one CPU
	cpus      int               // values per entry
	cpu       int               // the one that the program runs on, -1 when it may be any
	initial   map[string]*saved // by identity
	all       []*saved          // the same
	value     []byte            // one entry's values
	next, at  []byte            // keys
	fields    []corpus.Field
	evicts    bool // an LRU
	// crowded is set where an LRU may evict initial entries in favour of new ones.
	crowded bool
	touched touchedKeys
	// same returns what keys of one entry have in common, in memory that the next
	// call uses again; nil where an entry has one key.
	same func(key []byte) []byte
}

// saved is an initial entry.
type saved struct {
	key, value []byte
	touched    bool // and among touchedKeys
}

// lruReserve is how many free entries of an LRU one CPU may keep for itself.
const lruReserve = 128

func newEntries(name string, spec *ebpf.MapSpec, m *ebpf.Map, shape *corpus.Shape) (*entries, error) {
	e := &entries{
		name: name, fast: kernel.NewMap(m.FD()), keySize: int(spec.KeySize), valueSize: int(spec.ValueSize), cpus: 1, cpu: -1,
		fixed:   spec.Type == ebpf.Array || spec.Type == ebpf.PerCPUArray,
		initial: map[string]*saved{}, next: make([]byte, spec.KeySize), at: make([]byte, spec.KeySize),
		evicts: spec.Type == ebpf.LRUHash || spec.Type == ebpf.LRUCPUHash,
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("counting the processors: %w", err)
	}
	size := e.valueSize
	if isPerCPU(spec.Type) {
		e.cpus, e.cpu, size = cpus, kernel.Pinned(), e.stride()*cpus
	}
	e.value = make([]byte, size)
	for i := range shape.Maps {
		if shape.Maps[i].Name == name {
			e.fields = shape.Maps[i].Value
		}
	}
	if err := e.save(); err != nil {
		return nil, err
	}
	const most = 1 << 10 // more new entries than this in one run mean that all of the map is put back
	e.crowded = e.evicts && len(e.initial) > 0 && len(e.initial)+cpus*lruReserve+most > int(spec.MaxEntries)
	return e, e.gather()
}

// save reads the initial contents.
func (e *entries) save() error {
	return e.each(func(key []byte) error {
		if errno := e.fast.Lookup(key, e.value); errno != 0 {
			return errRestore(e.name, "reading the initial contents", errno)
		}
		s := &saved{key: bytes.Clone(key), value: bytes.Clone(e.value)}
		e.initial[string(e.identity(key))] = s
		e.all = append(e.all, s)
		return nil
	})
}

// gather leaves initial values on the program's CPU only, so that the sum over CPUs
// is the value that was set: on all CPUs it was set because nobody knew which one
// it would be.
func (e *entries) gather() error {
	if e.cpu < 0 || e.cpu >= e.cpus {
		return nil
	}
	for _, s := range e.initial {
		for cpu := range e.cpus {
			if cpu != e.cpu {
				clear(s.value[cpu*e.stride():][:e.stride()])
			}
		}
		if err := e.update(s.key, s.value); err != nil {
			return err
		}
	}
	return nil
}

func (e *entries) identity(key []byte) []byte {
	if e.same == nil {
		return key
	}
	return e.same(key)
}

func (e *entries) stride() int { return (e.valueSize + 7) &^ 7 }

// each calls do with every key; do may delete it.
func (e *entries) each(do func(key []byte) error) error {
	errno := e.fast.Next(nil, e.next)
	for errno == 0 {
		copy(e.at, e.next)
		errno = e.fast.Next(e.at, e.next)
		if err := do(e.at); err != nil {
			return err
		}
	}
	if errno != unix.ENOENT {
		return errRestore(e.name, "listing the keys", errno)
	}
	return nil
}

func (e *entries) key(key []byte) error {
	if s, ok := e.initial[string(e.identity(key))]; ok {
		return e.bring(s)
	}
	if e.fixed {
		return nil // an index outside
	}
	if err := e.delete(key); err != nil {
		return err
	}
	if e.crowded {
		return e.bringAll()
	}
	return nil
}

// bring puts an initial entry back. Others that came in its place may have to go
// first where the map is full.
func (e *entries) bring(s *saved) error {
	if e.evicts {
		return e.bringRare(s)
	}
	errno := e.fast.Update(s.key, s.value)
	if errno == unix.E2BIG || errno == unix.ENOSPC {
		return e.whole()
	}
	if errno != 0 {
		return errRestore(e.name, "writing an entry", errno)
	}
	return nil
}

// bringRare writes an entry of an LRU only when it is not as it was: writing may
// evict another one.
func (e *entries) bringRare(s *saved) error {
	if errno := e.fast.Lookup(s.key, e.value); errno == 0 && bytes.Equal(e.value, s.value) {
		return nil
	}
	return e.update(s.key, s.value)
}

func (e *entries) bringAll() error {
	if e.evicts {
		return e.bringMany(e.all, e.bringRare)
	}
	return e.bringMany(e.all, func(s *saved) error { return e.update(s.key, s.value) })
}

func (e *entries) update(key, value []byte) error {
	if errno := e.fast.Update(key, value); errno != 0 {
		return errRestore(e.name, "writing an entry", errno)
	}
	return nil
}

// delete removes a key; one that is gone, or that no entry can have (a prefix
// longer than a trie's), is as it should be.
func (e *entries) delete(key []byte) error {
	switch errno := e.fast.Delete(key); errno {
	case 0, unix.ENOENT, unix.EINVAL:
		return nil
	default:
		return errRestore(e.name, "removing an entry", errno)
	}
}

func (e *entries) bytes(lo, hi uint32) error { return e.whole() }

// whole removes what came before it puts back what was there: a full map has no
// room for both.
func (e *entries) whole() error {
	if !e.fixed {
		if err := e.each(e.deleteForeign); err != nil {
			return err
		}
	}
	return e.bringAll()
}

func (e *entries) deleteForeign(key []byte) error {
	if _, ok := e.initial[string(e.identity(key))]; ok {
		return nil
	}
	return e.delete(key)
}

func (e *entries) lookup(dst, key []byte) ([]byte, bool, error) {
	if len(key) != e.keySize {
		return dst, false, errKeySize(e.name, len(key), e.keySize)
	}
	switch errno := e.fast.Lookup(key, e.value); errno {
	case 0:
	case unix.ENOENT:
		return dst, false, nil
	default:
		return dst, false, fmt.Errorf("reading map %q: %w", e.name, errno)
	}
	dst = append(dst, e.value[:e.valueSize]...)
	for cpu := 1; cpu < e.cpus; cpu++ {
		e.sum(dst[len(dst)-e.valueSize:], e.value[cpu*e.stride():])
	}
	return dst, true, nil
}

// sum adds one CPU's value to that of others, field by field; without fields by
// words of 8 or 4 bytes. Of members of a union the first one counts.
func (e *entries) sum(total, value []byte) {
	end := 0
	for _, f := range e.fieldsOf() {
		if f.Offset < end || f.Offset+f.Size > len(total) {
			continue
		}
		end = f.Offset + f.Size
		a, b := total[f.Offset:f.Offset+f.Size], value[f.Offset:f.Offset+f.Size]
		putInteger(a, integerAt(a, f.Big)+integerAt(b, f.Big), f.Big)
	}
}

func (e *entries) fieldsOf() []corpus.Field {
	if len(e.fields) == 0 {
		size := 8
		if e.valueSize%8 != 0 {
			size = 4
		}
		for off := 0; off+size <= e.valueSize; off += size {
			e.fields = append(e.fields, corpus.Field{Offset: off, Size: size})
		}
	}
	return e.fields
}

// store sets an entry, in a per-CPU map for the program's CPU, or for all if it may
// run on any.
func (e *entries) store(key, value []byte) error {
	if len(key) != e.keySize || len(value) != e.valueSize {
		return fmt.Errorf("map %q: a key of %d and a value of %d bytes, it has %d and %d", e.name, len(key), len(value), e.keySize, e.valueSize)
	}
	if !e.perCPU() {
		return e.update(key, value)
	}
	clear(e.value)
	for cpu := range e.cpus {
		if e.cpu < 0 || cpu == e.cpu {
			copy(e.value[cpu*e.stride():], value)
		}
	}
	return e.update(key, e.value)
}

// perCPU reports whether values are padded to whole words, as those of a per-CPU
// map are also where there is one CPU.
func (e *entries) perCPU() bool { return len(e.value) != e.valueSize }

func (e *entries) Close() error { return nil }
