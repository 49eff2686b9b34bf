package fuzztest

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// A flight is memory that outlives its process, in which a worker notes the input
// that the Func is called with: should that end the process, the process that
// coordinates finds it there.
type flight struct {
	// mem is a header and the input's encoding.
	mem []byte
}

// The header of a flight: the length of the encoding plus one while the Func runs, 0
// while it does not.
const flightHeader = 8

// begin notes that the Func is called with in. Nil does nothing.
func (f *flight) begin(in *corpus.Input) {
	if f == nil {
		return
	}
	encoded := corpus.AppendEncode(f.mem[flightHeader:flightHeader], in)
	if len(encoded) > len(f.mem)-flightHeader {
		return // it was moved elsewhere: an input beyond the shape
	}
	binary.NativeEndian.PutUint64(f.mem, uint64(len(encoded))+1)
}

func (f *flight) end() {
	if f != nil {
		binary.NativeEndian.PutUint64(f.mem, 0)
	}
}

// pending returns a copy of the input that the Func was called with, nil when it was
// not running.
func (f *flight) pending() *corpus.Input {
	n := binary.NativeEndian.Uint64(f.mem)
	if n == 0 || n-1 > uint64(len(f.mem)-flightHeader) {
		return nil
	}
	return corpus.Decode(f.mem[flightHeader:][:n-1]).Clone()
}

// newFlights makes a file for flights that has no name.
func newFlights() (*os.File, error) {
	fd, err := unix.MemfdCreate("fuzztest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making memory to share with the fuzzing process: %w", err)
	}
	return os.NewFile(uintptr(fd), "flights"), nil
}

// mapFlights maps flights of n workers with room for an encoding each. The memory
// stays mapped as long as the process lives. With room 0 it maps what is there.
func mapFlights(f *os.File, n, room int) ([]*flight, error) {
	size := (flightHeader + room + 7) &^ 7
	if room > 0 {
		if err := f.Truncate(int64(n * size)); err != nil {
			return nil, fmt.Errorf("sizing the memory shared between fuzzing processes: %w", err)
		}
	} else {
		info, err := f.Stat()
		if err != nil {
			return nil, fmt.Errorf("reading the memory shared between fuzzing processes: %w", err)
		}
		if size = int(info.Size()) / max(n, 1); size <= flightHeader {
			return nil, nil // the process ended before it had any
		}
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, n*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the memory shared between fuzzing processes: %w", err)
	}
	flights := make([]*flight, n)
	for i := range flights {
		flights[i] = &flight{mem: mem[i*size : (i+1)*size : (i+1)*size]}
	}
	return flights, nil
}

// encodedRoom bounds the encoding of an input that obeys a shape, with as many entries
// of its maps as an encoding holds, up to 16 MiB of them: memory that is not written is
// not there.
func encodedRoom(shape *corpus.Shape) int {
	const perStep, perEntry = 4*4 + 3*4, 3 * 4
	entry := 0
	for i := range shape.Maps {
		m := &shape.Maps[i]
		entry = max(entry, perEntry+len(m.Name)+m.KeySize+m.ValueSize)
	}
	return 3 + min(corpus.MaxMapEntries*entry, 16<<20) +
		max(shape.MaxSteps, 1)*(perStep+shape.Packet.Max+shape.Meta.Max+shape.ContextSize+chanceRoom)
}
