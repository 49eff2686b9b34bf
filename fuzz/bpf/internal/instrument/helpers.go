package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// effect is what a helper does with the map that it is given.
type effect uint8

const (
	// reads: the map's state stays as it is.
	reads effect = iota
	// looksUp: it stays, but the caller gets an address in it. The key is in r2.
	looksUp
	// changesKey: the entry whose key is in r2 changes.
	changesKey
	// changes: any of it may change.
	changes
)

// helper describes a helper function as far as maps are concerned.
type helper struct {
	// args is the number of arguments.
	args int
	// maps is the register that holds a map, r0 when none does.
	maps   asm.Register
	effect effect
	// constant holds the arguments through which the helper does not write.
	constant cfg.RegSet
	// calls is set when the helper calls functions of the program.
	calls bool
}

// unknown is assumed of helpers that are not listed: they write through whatever
// they are given, and take no map.
var unknown = helper{args: 5}

// helperOf describes a helper. Listed are those that take a map, and those that
// are so common in packet programs that assuming the worst of them would cost.
func helperOf(fn asm.BuiltinFunc) helper {
	const r1, r2, r3 = asm.R1, asm.R2, asm.R3
	switch fn {
	case asm.FnMapLookupElem:
		return helper{args: 2, maps: r1, effect: looksUp, constant: cfg.Args}
	case asm.FnMapLookupPercpuElem:
		return helper{args: 3, maps: r1, effect: looksUp, constant: cfg.Args}
	case asm.FnMapUpdateElem:
		return helper{args: 4, maps: r1, effect: changesKey, constant: cfg.Args}
	case asm.FnMapDeleteElem:
		return helper{args: 2, maps: r1, effect: changesKey, constant: cfg.Args}
	case asm.FnMapPushElem:
		return helper{args: 3, maps: r1, effect: changes, constant: cfg.Args}
	case asm.FnMapPopElem:
		return helper{args: 2, maps: r1, effect: changes, constant: cfg.Regs(r1)}
	case asm.FnMapPeekElem:
		return helper{args: 2, maps: r1, constant: cfg.Regs(r1)}
	case asm.FnForEachMapElem:
		return helper{args: 4, maps: r1, effect: changes, constant: cfg.Regs(r1), calls: true}
	case asm.FnLoop, asm.FnFindVma, asm.FnUserRingbufDrain:
		h := helper{args: 4, calls: true}
		if fn == asm.FnUserRingbufDrain {
			h.maps, h.effect = r1, changes
		}
		return h
	case asm.FnRingbufOutput:
		return helper{args: 4, maps: r1, effect: changes, constant: cfg.Args}
	case asm.FnRingbufReserve, asm.FnRingbufReserveDynptr:
		return helper{args: 4, maps: r1, effect: changes, constant: cfg.Regs(r1)}
	case asm.FnRingbufQuery, asm.FnPerfEventRead:
		return helper{args: 2, maps: r1, constant: cfg.Args}
	case asm.FnPerfEventReadValue:
		return helper{args: 4, maps: r1, constant: cfg.Regs(r1)}
	case asm.FnPerfEventOutput, asm.FnSkbOutput, asm.FnXdpOutput:
		return helper{args: 5, maps: r2, effect: changes, constant: cfg.Args}
	case asm.FnGetStackid:
		return helper{args: 3, maps: r2, effect: changes, constant: cfg.Args}
	case asm.FnSockMapUpdate, asm.FnSockHashUpdate, asm.FnTimerInit:
		return helper{args: 4, maps: r2, effect: changes, constant: cfg.Regs(r2)}
	case asm.FnSkStorageGet, asm.FnInodeStorageGet, asm.FnTaskStorageGet, asm.FnCgrpStorageGet:
		return helper{args: 4, maps: r1, effect: changes, constant: cfg.Args}
	case asm.FnSkStorageDelete, asm.FnInodeStorageDelete, asm.FnTaskStorageDelete, asm.FnCgrpStorageDelete, asm.FnGetLocalStorage:
		return helper{args: 2, maps: r1, effect: changes, constant: cfg.Args}
	case asm.FnRedirectMap, asm.FnTailCall:
		return helper{args: 3, constant: cfg.Args}
	}
	return plainHelper(fn)
}

// plainHelper describes helpers that take no map.
func plainHelper(fn asm.BuiltinFunc) helper {
	const r1, r2, r3, r4 = asm.R1, asm.R2, asm.R3, asm.R4
	switch fn {
	case asm.FnKtimeGetNs, asm.FnKtimeGetBootNs, asm.FnKtimeGetCoarseNs, asm.FnGetPrandomU32, asm.FnGetSmpProcessorId, asm.FnJiffies64, asm.FnGetCurrentPidTgid:
		return helper{}
	case asm.FnRedirect, asm.FnXdpAdjustHead, asm.FnXdpAdjustMeta, asm.FnXdpAdjustTail, asm.FnSkbPullData:
		return helper{args: 2, constant: cfg.Args}
	case asm.FnSkbChangeTail, asm.FnSkbChangeHead, asm.FnSkbChangeProto, asm.FnCloneRedirect:
		return helper{args: 3, constant: cfg.Args}
	case asm.FnSkbStoreBytes, asm.FnL3CsumReplace, asm.FnL4CsumReplace, asm.FnCsumDiff:
		return helper{args: 5, constant: cfg.Args}
	case asm.FnXdpStoreBytes, asm.FnSkbSetTunnelKey, asm.FnRedirectNeigh:
		return helper{args: 4, constant: cfg.Args}
	case asm.FnSkbSetTunnelOpt, asm.FnStrncmp:
		return helper{args: 3, constant: cfg.Args}
	case asm.FnSkbLoadBytes, asm.FnXdpLoadBytes:
		return helper{args: 4, constant: cfg.Regs(r1, r2, r4)}
	case asm.FnProbeRead, asm.FnProbeReadKernel, asm.FnProbeReadUser:
		return helper{args: 3, constant: cfg.Regs(r2, r3)}
	case asm.FnSkLookupTcp, asm.FnSkLookupUdp, asm.FnSkcLookupTcp:
		return helper{args: 5, constant: cfg.Args}
	case asm.FnTracePrintk:
		return helper{args: 5, constant: cfg.Args}
	}
	return unknown
}
