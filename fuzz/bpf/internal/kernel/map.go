package kernel

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapAttr is the part of union bpf_attr that the map commands read.
type mapAttr struct {
	fd    uint32
	_     uint32
	key   unsafe.Pointer
	value unsafe.Pointer // or next key
	flags uint64
}

// Map reads and writes one map without allocating. Keys and values have the map's
// sizes, which nobody checks; a value of a per-CPU map has one value,
// rounded up to 8 bytes, for each possible CPU. It is not safe for concurrent use.
type Map struct {
	attr  mapAttr
	batch batchAttr
}

// NewMap returns access to the map with that file descriptor.
func NewMap(fd int) *Map { return &Map{attr: mapAttr{fd: uint32(fd)}} }

func (m *Map) do(cmd uintptr, key, value []byte) syscall.Errno {
	m.attr.key, _ = address(key)
	m.attr.value, _ = address(value)
	return call(cmd, unsafe.Pointer(&m.attr), unsafe.Sizeof(m.attr))
}

// Lookup reads the value of key; ENOENT when there is none.
func (m *Map) Lookup(key, value []byte) syscall.Errno { return m.do(cmdMapLookup, key, value) }

// Update stores value under key, which may exist already.
func (m *Map) Update(key, value []byte) syscall.Errno { return m.do(cmdMapUpdate, key, value) }

// Delete removes key; ENOENT when there is none.
func (m *Map) Delete(key []byte) syscall.Errno { return m.do(cmdMapDelete, key, nil) }

// batchAttr is the part of union bpf_attr that the map commands for many entries read.
type batchAttr struct {
	_, _         uint64 // where to begin, and where it ended
	keys, values unsafe.Pointer
	count, fd    uint32
	_, _         uint64 // flags
}

// DeleteBatch removes n keys that lie one behind the other, up to the first one that
// there is not: done is the number of those before it, errno then ENOENT. Not
// every kind of map has the command.
func (m *Map) DeleteBatch(keys []byte, n int) (done int, errno syscall.Errno) {
	return m.doBatch(cmdMapDeleteBatch, keys, nil, n)
}

// UpdateBatch stores n values, each under the key with the same number, up to the first
// that fails: done is the number of those before it. Not every kind of map has the
// command.
func (m *Map) UpdateBatch(keys, values []byte, n int) (done int, errno syscall.Errno) {
	return m.doBatch(cmdMapUpdateBatch, keys, values, n)
}

func (m *Map) doBatch(cmd uintptr, keys, values []byte, n int) (done int, errno syscall.Errno) {
	m.batch = batchAttr{count: uint32(n), fd: m.attr.fd}
	m.batch.keys, _ = address(keys)
	m.batch.values, _ = address(values)
	errno = call(cmd, unsafe.Pointer(&m.batch), unsafe.Sizeof(m.batch))
	return int(m.batch.count), errno
}

// Next writes the key behind key, or the first one if key is nil or gone; ENOENT
// behind the last one.
func (m *Map) Next(key, next []byte) syscall.Errno { return m.do(cmdMapNext, key, next) }

// Pop takes the next value out of a queue or a stack; ENOENT when it is empty.
func (m *Map) Pop(value []byte) syscall.Errno { return m.do(cmdMapPop, nil, value) }

// MapMemory maps n bytes of an mmapable array's values, readable and writable. The
// memory stays valid after the file descriptor is closed, until Unmap.
func MapMemory(fd, n int) ([]byte, error) {
	page := unix.Getpagesize()
	mem, err := unix.Mmap(fd, 0, (n+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes of a BPF array: %w", n, err)
	}
	return mem[:n], nil
}

// Unmap gives back what MapMemory returned; nil is fine.
func Unmap(mem []byte) error {
	if mem == nil {
		return nil
	}
	if err := unix.Munmap(mem[:cap(mem)]); err != nil {
		return fmt.Errorf("unmapping a BPF array: %w", err)
	}
	return nil
}

// Ring is the consumer's side of a BPF ring buffer, used to empty it.
type Ring struct{ consumer, producer []byte }

// NewRing maps the position pages of the ring buffer with that file descriptor.
func NewRing(fd int) (*Ring, error) {
	page := unix.Getpagesize()
	consumer, err := unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping a BPF ring buffer: %w", err)
	}
	producer, err := unix.Mmap(fd, int64(page), page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mapping a BPF ring buffer: %w", err), unix.Munmap(consumer))
	}
	return &Ring{consumer: consumer, producer: producer}, nil
}

// Drain drops everything in the buffer.
func (r *Ring) Drain() {
	*(*uint64)(unsafe.Pointer(&r.consumer[0])) = *(*uint64)(unsafe.Pointer(&r.producer[0]))
}

// Pending returns how many bytes are in the buffer.
func (r *Ring) Pending() uint64 {
	return *(*uint64)(unsafe.Pointer(&r.producer[0])) - *(*uint64)(unsafe.Pointer(&r.consumer[0]))
}

// Close gives the pages back.
func (r *Ring) Close() error { return errors.Join(unix.Munmap(r.consumer), unix.Munmap(r.producer)) }
