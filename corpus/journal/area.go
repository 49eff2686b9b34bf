package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"unsafe"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// An area has a header of 32 bytes and then records: its state (u32), the number of
// records (u32), their size in bytes (u64), their CRC-32C with that of the two fields
// before (u32), how many inputs there was no room for (u32), and 1 where there is a
// checksum (u32). What only has to outlive the process needs none: the kernel has what the
// process wrote. To sum up all inputs costs 5 % of the execution rate. A lane's header has
// the area's size in bytes at offset 64 (u64); the first area begins at offset 128.
type area []byte

// States of an area. What is being written is empty.
const (
	empty = iota
	running
	ran
)

const (
	areaHeader = 32
	laneHeader = 128
	// MaxRoom bounds the bytes of an area: a batch of jumbo frames that are all full is
	// not noted to its end.
	MaxRoom = 4 << 20
	minRoom = 1 << 12
)

// set changes the state after all that was written before.
func (a area) set(state uint32) { atomic.StoreUint32((*uint32)(unsafe.Pointer(&a[0])), state) }

// writeOne writes an input and says that it runs.
func (a area) writeOne(in *corpus.Input, summed bool) {
	a.set(empty)
	size := put(a[areaHeader:], in)
	n := 0
	if size > 0 {
		n = 1
	}
	a.finish(size, n, 1-n, summed)
}

// finish says that what was written runs.
func (a area) finish(size, n, left int, summed bool) {
	le := binary.LittleEndian
	le.PutUint32(a[4:], uint32(n))
	le.PutUint64(a[8:], uint64(size))
	le.PutUint32(a[20:], uint32(left))
	le.PutUint32(a[24:], 0)
	if summed {
		le.PutUint32(a[16:], a.sum(size))
		le.PutUint32(a[24:], 1)
	}
	a.set(running)
}

func (a area) sum(size int) uint32 {
	sum := crc32.Checksum(a[4:16], castagnoli())
	return crc32.Update(sum, castagnoli(), a[areaHeader:areaHeader+size])
}

// Areas of a lane, in this order.
const (
	batch = iota
	alone
	held
	before
	areas
)

// areaName is for people.
func areaName(i int) string {
	return [areas]string{"the batch", "the input that ran alone", "the input that was looked into", "the other batch"}[i]
}

// readAreas returns the areas of a lane without its first header.
func readAreas(b []byte) (found [areas]area, err error) {
	if len(b) < laneHeader-headerSize {
		return found, nil // it had just been made
	}
	size := binary.LittleEndian.Uint64(b)
	b = b[laneHeader-headerSize:]
	if size < areaHeader || size > areaHeader+MaxRoom+64 || uint64(len(b)) != areas*size {
		return found, fmt.Errorf("%d areas of %d bytes in %d bytes", areas, size, len(b))
	}
	for i := range found {
		found[i] = b[uint64(i)*size : uint64(i+1)*size]
	}
	return found, nil
}

func (a area) state() uint32 {
	if a == nil {
		return empty
	}
	return binary.LittleEndian.Uint32(a)
}

// missing returns how many inputs there was no room for.
func (a area) missing() int {
	if a.state() == empty {
		return 0
	}
	return int(binary.LittleEndian.Uint32(a[20:]))
}

// read returns the inputs of an area that is not the process's own.
func (a area) read() ([]*corpus.Input, error) {
	switch a.state() {
	case empty:
		return nil, nil
	case running, ran:
	default:
		return nil, fmt.Errorf("it is in state %d, which there is not", a.state())
	}
	le := binary.LittleEndian
	n, size := le.Uint32(a[4:]), le.Uint64(a[8:])
	if size > uint64(len(a)-areaHeader) {
		return nil, fmt.Errorf("it has %d bytes of inputs where there is room for %d", size, len(a)-areaHeader)
	}
	if sum := a.sum(int(size)); sum != le.Uint32(a[16:]) && le.Uint32(a[24:]) != 0 {
		return nil, fmt.Errorf("it has checksum %#08x, its bytes have %#08x: they were written in part", le.Uint32(a[16:]), sum)
	}
	var inputs []*corpus.Input
	for b := a[areaHeader:][:size]; len(b) > 0; {
		in, rest, err := take(b)
		if err != nil {
			return nil, err
		}
		inputs, b = append(inputs, in), rest
	}
	if len(inputs) != int(n) {
		return nil, errors.New("it has another number of inputs than it says")
	}
	return inputs, nil
}
