package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Address returns where the kernel has the first value of an array. Programs that
// read the kernel's memory can be given it as a pointer. Finding out takes a
// program that stores it, which needs CAP_PERFMON.
func Address(m *ebpf.Map) (uint64, error) {
	found, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return 0, fmt.Errorf("making a map for an address: %w%s", err, Explain(err))
	}
	defer found.Close()
	t, err := load(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapValue(asm.R1, m.FD(), 0),
		asm.LoadMapValue(asm.R2, found.FD(), 0),
		asm.StoreMem(asm.R2, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}})
	if err != nil {
		return 0, err
	}
	defer t.close()
	if errno := t.data(make([]byte, legalPacket)); errno != 0 {
		return 0, fmt.Errorf("asking for the address of a map: %w%s", errno, Explain(errno))
	}
	var value [8]byte
	if err := found.Lookup(uint32(0), &value); err != nil {
		return 0, fmt.Errorf("reading the address of a map: %w", err)
	}
	return binary.NativeEndian.Uint64(value[:]), nil
}
