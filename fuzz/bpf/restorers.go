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
	case ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash:
		return newEntries(name, spec, m, shape)
	case ebpf.LPMTrie:
		return newTrie(name, spec, m, shape)
	case ebpf.Queue, ebpf.Stack:
		return newQueue(name, spec, m), nil
	case ebpf.RingBuf:
		r, err := kernel.NewRing(m.FD())
		if err != nil {
			return nil, fmt.Errorf("map %q: %w", name, err)
		}
		return ring{r}, nil
	}
	// Prog, device, CPU and map arrays: programs only read them. Storage, filters,
	// arenas: mapKinds says why their contents cannot be put back.
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

// smallSection is the size of global data, in bytes, up to which all of it is put
// back: that costs no more than a call, and catches writes beside their variable.
const smallSection = 1024

func (a *mappedArray) bytes(lo, hi uint32) error {
	if len(a.mem) <= smallSection {
		return a.whole()
	}
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
