package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// XDPRoom says how far an XDP program can move the ends of a packet in a
// BPF_PROG_RUN call.
type XDPRoom struct {
	// Head is how far down the head can go without metadata, in bytes.
	Head int
	// MetaInHead says that metadata takes the place of headroom, as it does since a
	// kernel after 6.12; before, it moves the packet up.
	MetaInHead bool
	// MetaInTail says that metadata takes the place of room behind the packet.
	MetaInTail bool
}

// MeasureXDPRoom finds out by trying.
func MeasureXDPRoom() (XDPRoom, error) {
	const meta = 32 // legal on all kernels that have metadata
	var r XDPRoom
	head, err := newMover(asm.FnXdpAdjustHead)
	if err != nil {
		return r, err
	}
	defer head.close()
	tail, err := newMover(asm.FnXdpAdjustTail)
	if err != nil {
		return r, err
	}
	defer tail.close()
	r.Head = head.limit(-1, 0)
	r.MetaInHead = head.limit(-1, meta) != r.Head
	r.MetaInTail = tail.limit(1, meta) != tail.limit(1, 0)
	if r.Head == 0 {
		return r, fmt.Errorf("bpf_xdp_adjust_head moves no packet down by a byte")
	}
	return r, nil
}

// newMover returns a program that calls a helper with the first four bytes of the
// packet.
func newMover(fn asm.BuiltinFunc) (*trial, error) {
	return load(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
			asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
			asm.Mov.Imm(asm.R0, 1),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 4),
			asm.JGT.Reg(asm.R4, asm.R3, "out"),
			asm.LoadMem(asm.R2, asm.R2, 0, asm.Word),
			fn.Call(),
			asm.Return().WithSymbol("out"),
		},
	})
}

// limit returns the largest n by which the packet's end can be moved in a
// direction, given metadata of some length.
func (t *trial) limit(sign, meta int) int {
	const packet = 64
	buf := make([]byte, meta+packet)
	return lastGood(largest, func(n int) bool {
		binary.NativeEndian.PutUint32(buf[meta:], uint32(int32(sign*n)))
		if meta > 0 {
			return t.meta(buf, packet, meta) && t.run.Ret() == 0
		}
		return t.data(buf) == 0 && t.run.Ret() == 0
	})
}
