package bpf

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// captureCode is an XDP program that counts a frame, copies it to the ring buffer
// and returns verdict.
func (w *watch) captureCode(count cell, verdict int32) asm.Instructions {
	ins := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	ins = append(ins, w.add(count, nil)...)
	ins = append(ins,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnXdpGetBuffLen.Call(),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.JEq.Imm(asm.R7, 0, "unread"),
		asm.JGT.Imm(asm.R7, maxFrame, "unread"),
		asm.LoadMapPtr(asm.R1, w.ring.FD()),
		asm.Mov.Imm(asm.R2, frameHead+maxFrame),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JEq.Imm(asm.R0, 0, "unread"),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.LoadMem(asm.R1, asm.R6, xdpOffIngress, asm.Word),
		asm.StoreMem(asm.R8, 0, asm.R1, asm.Word),
		asm.StoreMem(asm.R8, 4, asm.R7, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.R8),
		asm.Add.Imm(asm.R3, frameHead),
		asm.Mov.Reg(asm.R4, asm.R7),
		asm.FnXdpLoadBytes.Call(),
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.Mov.Imm(asm.R2, 0),
		asm.JNE.Imm(asm.R0, 0, "discard"),
		asm.FnRingbufSubmit.Call(),
		asm.Ja.Label("end"),
		asm.FnRingbufDiscard.Call().WithSymbol("discard"),
	)
	lost := w.add(unread, nil)
	lost[0] = lost[0].WithSymbol("unread")
	ins = append(ins, lost...)
	return append(ins, asm.Mov.Imm(asm.R0, verdict).WithSymbol("end"), asm.Return())
}

// add adds 1 to a counter, or the value that by leaves in R2. It uses R1 and R2.
func (w *watch) add(c cell, by asm.Instructions) asm.Instructions {
	if by == nil {
		by = asm.Instructions{asm.Mov.Imm(asm.R2, 1)}
	}
	return append(append(asm.Instructions{}, by...),
		asm.LoadMapValue(asm.R1, w.counters.FD(), uint32(8*c)),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
	)
}

// keep stores an argument of a tracepoint.
func (w *watch) keep(c cell, arg int) asm.Instructions {
	return append(traceArgument(arg),
		asm.LoadMapValue(asm.R1, w.counters.FD(), uint32(8*c)),
		asm.StoreMem(asm.R1, 0, asm.R2, asm.DWord),
	)
}

// traceArgument loads the 32 bits of an argument of a tracepoint, whose context is R6,
// into R2.
func traceArgument(n int) asm.Instructions {
	return asm.Instructions{asm.LoadMem(asm.R2, asm.R6, int16(8*n), asm.Word)}
}

// tracers are programs by the name of their tracepoint. All tracepoints have the
// device that received the frame as their first argument.
func (w *watch) tracers(from *namespaceFilter) map[string]asm.Instructions {
	const (
		// xdp_redirect and xdp_redirect_err: device, program, target, error, kind of map, map, index
		redirectErr, redirectKind, redirectIndex = 3, 4, 6
		// xdp_exception: device, program, verdict
		exceptionAct = 2
		// xdp_devmap_xmit: from, to, sent, dropped, error
		xmitSent, xmitDrops, xmitErr = 2, 3, 4
	)
	return map[string]asm.Instructions{
		"xdp_redirect":     from.only(w.add(redirected, nil), w.keep(mapType, redirectKind), w.keep(target, redirectIndex)),
		"xdp_redirect_err": from.only(w.add(refused, nil), w.keep(mapType, redirectKind), w.keep(target, redirectIndex), w.keep(refusal, redirectErr)),
		"xdp_exception":    from.only(w.add(excepted, nil), w.keep(exceptAction, exceptionAct)),
		"xdp_devmap_xmit":  from.only(w.add(sent, traceArgument(xmitSent)), w.add(unsent, traceArgument(xmitDrops)), w.keep(failure, xmitErr)),
	}
}

// namespaceFilter lets tracers see devices of one network namespace only: tracepoints
// fire for the whole machine.
type namespaceFilter struct {
	inode    uint32
	net, num int32 // offsets of net_device.nd_net.net and net.ns.inum
}

// newNamespaceFilter filters for the namespace of the calling thread.
func newNamespaceFilter() (*namespaceFilter, error) {
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return nil, fmt.Errorf("reading which network namespace a thread is in: %w", err)
	}
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("live frames are watched with tracepoints, for which the kernel has to describe its types (CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	f := &namespaceFilter{inode: uint32(st.Ino)}
	if f.net, err = offsetIn(types, "net_device", "nd_net", "net"); err == nil {
		f.num, err = offsetIn(types, "net", "ns", "inum")
	}
	return f, err
}

// only returns a program that runs parts for devices of the namespace.
func (f *namespaceFilter) only(parts ...asm.Instructions) asm.Instructions {
	const room = -8 // on the stack
	read := func(off, size int32) asm.Instructions {
		return asm.Instructions{
			asm.Add.Imm(asm.R3, off),
			asm.Mov.Reg(asm.R1, asm.RFP),
			asm.Add.Imm(asm.R1, room),
			asm.Mov.Imm(asm.R2, size),
			asm.FnProbeReadKernel.Call(),
			asm.JNE.Imm(asm.R0, 0, "end"),
		}
	}
	ins := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord)}
	ins = append(ins, read(f.net, 8)...)
	ins = append(ins, asm.LoadMem(asm.R3, asm.RFP, room, asm.DWord))
	ins = append(ins, read(f.num, 4)...)
	ins = append(ins,
		asm.LoadMem(asm.R1, asm.RFP, room, asm.Word),
		asm.LoadImm(asm.R2, int64(f.inode), asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, "end"),
	)
	for _, part := range parts {
		ins = append(ins, part...)
	}
	return append(ins, asm.Mov.Imm(asm.R0, 0).WithSymbol("end"), asm.Return())
}

// offsetIn returns the offset in bytes of a member of a kernel structure, or of a
// member of that.
func offsetIn(types *btf.Spec, name string, path ...string) (int32, error) {
	var s *btf.Struct
	if err := types.TypeByName(name, &s); err != nil {
		return 0, fmt.Errorf("looking for struct %s in the kernel's types: %w", name, err)
	}
	members, off := s.Members, btf.Bits(0)
	for _, want := range path {
		typ, at, err := memberNamed(members, want)
		if err != nil {
			return 0, fmt.Errorf("looking for %s in struct %s of this kernel: %w", want, name, err)
		}
		members, off = partsOf(typ), off+at
	}
	return int32(off.Bytes()), nil
}

var errNoMember = errors.New("no such member")

// memberNamed finds a member by name, in unnamed structures as well.
func memberNamed(members []btf.Member, name string) (btf.Type, btf.Bits, error) {
	for _, m := range members {
		if m.Name == name {
			return m.Type, m.Offset, nil
		}
		if m.Name != "" {
			continue
		}
		if typ, at, err := memberNamed(partsOf(m.Type), name); err == nil {
			return typ, m.Offset + at, nil
		}
	}
	return nil, 0, errNoMember
}

// partsOf returns the members of a structure or union, none of another type.
func partsOf(t btf.Type) []btf.Member {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}
