package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

func errUnknownMap(name string) error {
	return fmt.Errorf("the target has no map %q whose contents can be set or read", name)
}

func errKeySize(name string, got, want int) error {
	return fmt.Errorf("map %q: a key of %d bytes, it has keys of %d", name, got, want)
}

// newRestorer returns what puts a map back, nil where programs cannot change it.
// The map has its initial contents.
func newRestorer(name string, spec *ebpf.MapSpec, m *ebpf.Map, shape *corpus.Shape) (restorer, error) {
	switch spec.Type {
	case ebpf.Array:
		if spec.Flags&unix.BPF_F_MMAPABLE != 0 {
			return newMappedArray(name, spec, m)
		}
		return newEntries(name, spec, m, shape)
	case ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.LPMTrie:
		return newEntries(name, spec, m, shape)
	case ebpf.Queue, ebpf.Stack:
		return newQueue(name, spec, m), nil
	case ebpf.RingBuf:
		r, err := kernel.NewRing(m.FD())
		if err != nil {
			return nil, fmt.Errorf("map %q: %w", name, err)
		}
		return ring{r}, nil
	}
	// Prog, device, CPU and map arrays: programs only read them. Storage and
	// filters: their contents come and go with sockets and cannot be put back.
	return nil, nil
}

// mappedArray is an array whose values are in our memory.
type mappedArray struct {
	name           string
	mem, initial   []byte
	stride, values int // of a value, rounded up to 8, and without
}

func newMappedArray(name string, spec *ebpf.MapSpec, m *ebpf.Map) (restorer, error) {
	a := &mappedArray{name: name, stride: (int(spec.ValueSize) + 7) &^ 7, values: int(spec.ValueSize)}
	mem, err := kernel.MapMemory(m.FD(), a.stride*int(spec.MaxEntries))
	if err != nil {
		return nil, fmt.Errorf("map %q: %w", name, err)
	}
	a.mem, a.initial = mem, bytes.Clone(mem)
	return a, nil
}

// at returns where the value of key is, and whether there is one.
func (a *mappedArray) at(key []byte) (lo, hi int, ok bool) {
	if len(key) != 4 {
		return 0, 0, false
	}
	lo = int(binary.NativeEndian.Uint32(key)) * a.stride
	return lo, lo + a.values, lo+a.stride <= len(a.mem)
}

func (a *mappedArray) key(key []byte) error {
	if lo, hi, ok := a.at(key); ok {
		copy(a.mem[lo:hi], a.initial[lo:hi])
	}
	return nil // an index outside finds nothing and changes nothing
}

func (a *mappedArray) bytes(lo, hi uint32) error {
	copy(a.mem[lo:hi], a.initial[lo:hi])
	return nil
}

func (a *mappedArray) whole() error {
	copy(a.mem, a.initial)
	return nil
}

func (a *mappedArray) lookup(dst, key []byte) ([]byte, bool, error) {
	lo, hi, ok := a.at(key)
	if len(key) != 4 {
		return dst, false, errKeySize(a.name, len(key), 4)
	}
	if !ok {
		return dst, false, nil
	}
	return append(dst, a.mem[lo:hi]...), true, nil
}

func (a *mappedArray) store(key, value []byte) error {
	lo, hi, ok := a.at(key)
	if !ok || len(value) != a.values {
		return fmt.Errorf("map %q: cannot store %d bytes under key %x", a.name, len(value), key)
	}
	copy(a.mem[lo:hi], value)
	return nil
}

func (a *mappedArray) Close() error { return kernel.Unmap(a.mem) }

// entries is a map that is read and written by system calls.
type entries struct {
	name      string
	fast      *kernel.Map
	fixed     bool // an array: entries cannot be deleted
	keySize   int
	cpus      int // values per entry
	initial   map[string][]byte
	value     []byte // one entry's values
	next, at  []byte // keys
	fields    []corpus.Field
	valueSize int // of one CPU
}

func newEntries(name string, spec *ebpf.MapSpec, m *ebpf.Map, shape *corpus.Shape) (restorer, error) {
	e := &entries{
		name: name, fast: kernel.NewMap(m.FD()), keySize: int(spec.KeySize), valueSize: int(spec.ValueSize), cpus: 1,
		fixed:   spec.Type == ebpf.Array || spec.Type == ebpf.PerCPUArray,
		initial: map[string][]byte{}, next: make([]byte, spec.KeySize), at: make([]byte, spec.KeySize),
	}
	size := e.valueSize
	if isPerCPU(spec.Type) {
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return nil, err
		}
		e.cpus, size = cpus, e.stride()*cpus
	}
	e.value = make([]byte, size)
	for i := range shape.Maps {
		if shape.Maps[i].Name == name {
			e.fields = shape.Maps[i].Value
		}
	}
	err := e.each(func(key []byte) error {
		if errno := e.fast.Lookup(key, e.value); errno != 0 {
			return errRestore(name, "reading the initial contents", errno)
		}
		e.initial[string(key)] = bytes.Clone(e.value)
		return nil
	})
	return e, err
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
	initial, ok := e.initial[string(key)]
	if ok {
		return e.update(key, initial)
	}
	if e.fixed {
		return nil // an index outside
	}
	return e.delete(key)
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

func (e *entries) whole() error {
	if !e.fixed {
		err := e.each(func(key []byte) error {
			if _, ok := e.initial[string(key)]; ok {
				return nil
			}
			return e.delete(key)
		})
		if err != nil {
			return err
		}
	}
	for key, value := range e.initial {
		copy(e.at, key)
		if err := e.update(e.at, value); err != nil {
			return err
		}
	}
	return nil
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

func (e *entries) store(key, value []byte) error {
	if len(key) != e.keySize || len(value) != e.valueSize {
		return fmt.Errorf("map %q: a key of %d and a value of %d bytes, it has %d and %d", e.name, len(key), len(value), e.keySize, e.valueSize)
	}
	values := value
	if e.cpus > 1 {
		padded := make([]byte, e.stride())
		copy(padded, value)
		values = bytes.Repeat(padded, e.cpus)
	}
	return e.update(key, values)
}

func (e *entries) Close() error { return nil }

// queue is a queue or a stack.
type queue struct {
	name    string
	fast    *kernel.Map
	value   []byte
	initial [][]byte // in the order in which they were added
}

func newQueue(name string, spec *ebpf.MapSpec, m *ebpf.Map) *queue {
	q := &queue{name: name, fast: kernel.NewMap(m.FD()), value: make([]byte, spec.ValueSize)}
	for _, kv := range spec.Contents {
		q.initial = append(q.initial, bytesOf(kv.Value))
	}
	return q
}

func (q *queue) whole() error {
	errno := syscall.Errno(0)
	for errno == 0 {
		errno = q.fast.Pop(q.value)
	}
	if errno != unix.ENOENT {
		return errRestore(q.name, "taking a value out", errno)
	}
	for _, value := range q.initial {
		if err := q.store(nil, value); err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) key([]byte) error           { return q.whole() }
func (q *queue) bytes(uint32, uint32) error { return q.whole() }
func (q *queue) Close() error               { return nil }

func (q *queue) store(_, value []byte) error {
	if errno := q.fast.Update(nil, value); errno != 0 {
		return fmt.Errorf("map %q: adding a value: %w", q.name, errno)
	}
	return nil
}

func (q *queue) lookup(dst, _ []byte) ([]byte, bool, error) {
	errno := q.fast.Lookup(nil, q.value)
	if errno != 0 {
		return dst, false, ignoreMissing(errno)
	}
	return append(dst, q.value...), true, nil
}

func ignoreMissing(errno syscall.Errno) error {
	if errno == unix.ENOENT {
		return nil
	}
	return errno
}

// errNoKeys says that a map has no entries by key.
var errNoKeys = errors.New("the map has no entries by key")

// ring is a ring buffer: putting it back means emptying it.
type ring struct{ *kernel.Ring }

func (r ring) whole() error                               { r.Drain(); return nil }
func (r ring) key([]byte) error                           { return r.whole() }
func (r ring) bytes(uint32, uint32) error                 { return r.whole() }
func (r ring) lookup(dst, _ []byte) ([]byte, bool, error) { return dst, false, errNoKeys }
func (r ring) store(_, _ []byte) error                    { return errNoKeys }
