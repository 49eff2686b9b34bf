package instrument

import (
	"strings"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// throw is the kernel function that ends a program from anywhere; its argument
// becomes the return value.
const throw = "bpf_throw"

// marks returns what goes before the calls of a function whose effect outlasts a
// repetition. R0 is free there: a call overwrites it.
func marks(f *cfg.Func, packets Packets, batchName string) []insertion {
	var list []insertion
	for i := range f.Insns {
		ins := &f.Insns[i]
		var code asm.Instructions
		switch {
		case ins.IsKfuncCall() && ins.Reference() == throw:
			code = asm.Instructions{address(asm.R0, batchName, batchRet), asm.StoreMem(asm.R0, 0, asm.R1, asm.Word)}
		case ins.IsKfuncCall() && !harmlessKfunc(ins.Reference()):
			code = mark1(batchName, BatchDirty)
		case ins.IsBuiltinCall() && packets == XDP && movesHead(asm.BuiltinFunc(ins.Constant)):
			code = mark1(batchName, batchMoved)
		case ins.IsBuiltinCall() && packets == SKB && !harmless(asm.BuiltinFunc(ins.Constant)):
			code = mark1(batchName, BatchDirty)
		}
		if code != nil {
			list = append(list, insertion{place: before, insn: i, code: code})
		}
	}
	return list
}

func mark1(batchName string, off int) asm.Instructions {
	return asm.Instructions{address(asm.R0, batchName, off), asm.StoreImm(asm.R0, 0, 1, asm.Word)}
}

// movesHead lists the helpers that make bytes in front of an XDP packet writable.
func movesHead(fn asm.BuiltinFunc) bool {
	return fn == asm.FnXdpAdjustHead || fn == asm.FnXdpAdjustMeta
}

// harmlessKfunc reports whether a kernel function leaves nothing of a packet
// changed but its bytes.
func harmlessKfunc(name string) bool {
	for _, prefix := range [...]string{
		"bpf_dynptr_", "bpf_xdp_metadata_", "bpf_rcu_", "bpf_obj_", "bpf_percpu_obj_", "bpf_refcount_", "bpf_list_",
		"bpf_rbtree_", "bpf_iter_", "bpf_cast_", "bpf_rdonly_", "bpf_map_sum_", "bpf_preempt_", "bpf_local_irq_",
		"bpf_skb_ct_", "bpf_xdp_ct_", "bpf_ct_", "bpf_arena_", "bpf_cpumask_", "bpf_wq_", "bpf_str",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// harmless reports whether a helper leaves nothing of an skb changed that the
// prologue does not set anew: bytes, length, hash and the fields that programs write.
// Helpers that are not known to be harmless are not.
func harmless(fn asm.BuiltinFunc) bool {
	if h := helperOf(fn); h.maps != asm.R0 {
		return fn != asm.FnSkStorageGet && fn != asm.FnSkStorageDelete
	}
	switch fn {
	case asm.FnTailCall, asm.FnLoop, asm.FnForEachMapElem, asm.FnSpinLock, asm.FnSpinUnlock, asm.FnKptrXchg, asm.FnTimerInit, asm.FnTimerSetCallback, asm.FnTimerStart, asm.FnTimerCancel,
		asm.FnKtimeGetNs, asm.FnKtimeGetBootNs, asm.FnKtimeGetCoarseNs, asm.FnKtimeGetTaiNs, asm.FnJiffies64,
		asm.FnGetPrandomU32, asm.FnGetSmpProcessorId, asm.FnGetNumaNodeId, asm.FnGetCurrentTask, asm.FnGetCurrentTaskBtf,
		asm.FnGetCurrentPidTgid, asm.FnGetCurrentUidGid, asm.FnGetCurrentComm, asm.FnTracePrintk, asm.FnTraceVprintk,
		asm.FnSnprintf, asm.FnStrtol, asm.FnStrtoul, asm.FnStrncmp, asm.FnProbeRead, asm.FnProbeReadKernel, asm.FnProbeReadKernelStr, asm.FnProbeReadStr,
		asm.FnSkbLoadBytes, asm.FnSkbLoadBytesRelative, asm.FnSkbStoreBytes, asm.FnSkbPullData, asm.FnSkbChangeTail,
		asm.FnL3CsumReplace, asm.FnL4CsumReplace, asm.FnCsumDiff, asm.FnCsumUpdate,
		asm.FnGetHashRecalc, asm.FnSetHash, asm.FnSetHashInvalid, asm.FnSkbEcnSetCe,
		asm.FnRedirect, asm.FnRedirectPeer, asm.FnRedirectNeigh, asm.FnFibLookup, asm.FnCheckMtu,
		asm.FnSkLookupTcp, asm.FnSkLookupUdp, asm.FnSkcLookupTcp, asm.FnSkRelease, asm.FnTcpCheckSyncookie,
		asm.FnTcpGenSyncookie, asm.FnTcpRawGenSyncookieIpv4, asm.FnTcpRawGenSyncookieIpv6, asm.FnTcpRawCheckSyncookieIpv4, asm.FnTcpRawCheckSyncookieIpv6,
		asm.FnSkbGetTunnelKey, asm.FnSkbGetTunnelOpt, asm.FnSkbGetXfrmState,
		asm.FnRingbufSubmit, asm.FnRingbufDiscard, asm.FnRingbufSubmitDynptr, asm.FnRingbufDiscardDynptr,
		asm.FnDynptrFromMem, asm.FnDynptrRead, asm.FnDynptrWrite, asm.FnDynptrData,
		asm.FnPerCpuPtr, asm.FnThisCpuPtr:
		return true
	}
	return false
}

// Looks says what a program may look at besides bytes and length of its packet. It
// errs on the side of yes.
type Looks struct {
	fields map[int16]bool // offsets in the context that are loaded
	calls  map[asm.BuiltinFunc]bool
	kfuncs bool
	// wireLen says that some load of wire_len cannot be replaced.
	wireLen bool
}

// Looks finds out what the plan's programs look at.
func (p *Plan) Looks() *Looks {
	l := &Looks{fields: map[int16]bool{}, calls: map[asm.BuiltinFunc]bool{}}
	for _, fn := range p.funcs {
		args := cfg.Args
		if !fn.sub {
			args = cfg.Regs(asm.R1)
		}
		fn.FlowOf(args).Walk(func(i int, s *cfg.State) {
			switch ins := &fn.Insns[i]; {
			case ins.IsBuiltinCall():
				l.calls[asm.BuiltinFunc(ins.Constant)] = true
			case ins.IsKfuncCall():
				l.kfuncs = true
			case ins.OpCode.Class() == asm.LdXClass && s.Regs[ins.Src].Taint != 0:
				l.fields[ins.Offset] = true
				if ins.Offset >= skbWireLen && ins.Offset < skbWireLenEnd && (fn.sub || !loadsWireLen(ins)) {
					l.wireLen = true
				}
			}
		})
	}
	return l
}

// Field reports whether a byte in [lo, hi) of the context is looked at: the address
// of a context has no offset but that of the load.
func (l *Looks) Field(lo, hi int) bool {
	for off := range l.fields {
		if int(off) >= lo && int(off) < hi {
			return true
		}
	}
	return false
}

func (l *Looks) anyCall(is func(asm.BuiltinFunc) bool) bool {
	for fn := range l.calls {
		if is(fn) {
			return true
		}
	}
	return false
}

// Socket reports whether the socket of an skb is looked at, whose addresses the
// kernel takes from the packet of a call.
func (l *Looks) Socket() bool {
	return l.Field(168, 176) || l.anyCall(func(fn asm.BuiltinFunc) bool {
		switch fn {
		case asm.FnGetSocketCookie, asm.FnGetSocketUid, asm.FnSkbCgroupId, asm.FnSkbAncestorCgroupId, asm.FnSkbUnderCgroup,
			asm.FnSkStorageGet, asm.FnSkStorageDelete, asm.FnSkFullsock, asm.FnTcpSock:
			return true
		}
		return false
	})
}

// Header reports whether something is looked at that the kernel derives from the
// Ethernet header of an skb.
func (l *Looks) Header() bool {
	return l.kfuncs || l.Field(4, 8) || l.Field(16, 20) || l.anyCall(func(fn asm.BuiltinFunc) bool {
		switch fn {
		case asm.FnGetHashRecalc, asm.FnSkbEcnSetCe, asm.FnSkbLoadBytesRelative:
			return true
		}
		return !harmless(fn)
	})
}

// Device reports whether the interface is looked at that a packet came from or
// belongs to.
func (l *Looks) Device(packets Packets) bool {
	if l.kfuncs || l.anyCall(asksDevice) {
		return true
	}
	if packets == XDP {
		return l.Field(12, 24)
	}
	return l.Field(40, 44) || l.anyCall(func(fn asm.BuiltinFunc) bool { return !harmless(fn) })
}

// asksDevice lists harmless helpers whose result depends on a packet's interface.
func asksDevice(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnFibLookup, asm.FnCheckMtu, asm.FnSkLookupTcp, asm.FnSkLookupUdp, asm.FnSkcLookupTcp, asm.FnRedirectPeer:
		return true
	}
	return false
}
