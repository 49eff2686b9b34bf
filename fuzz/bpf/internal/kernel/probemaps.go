package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// maps tries the kinds of maps that fuzzing itself needs.
func (p *prober) maps() {
	p.add("mmapable-array", tryArray())
	p.add("ring-buffer", tryRing())
}

// tryArray makes an array, writes through its memory and reads with a call.
func tryArray() error {
	m, err := newArray()
	if err != nil {
		return notLoaded(fmt.Errorf("making an array: %w", err))
	}
	defer m.Close()
	mem, err := MapMemory(m.FD(), 8)
	if err != nil {
		return err
	}
	mem[3] = 7
	value := make([]byte, 8)
	errno := NewMap(m.FD()).Lookup(make([]byte, 4), value)
	return errors.Join(answer("reading an array", errno), tell(value[3] == 7, "what is written through memory does not arrive"), Unmap(mem))
}

// tell is a definite no with a reason.
func tell(ok bool, why string) error {
	if ok {
		return nil
	}
	return no(errors.New(why))
}

func newArray() (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
}

func tryRing() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(unix.Getpagesize())})
	if err != nil {
		return notLoaded(fmt.Errorf("making a ring buffer: %w", err))
	}
	defer m.Close()
	ring, err := NewRing(m.FD())
	if err != nil {
		return err
	}
	return ring.Close()
}
