package instrument

import (
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// failure says how a call of a helper is made to fail. The zero value is that of a
// helper that is left alone.
type failure struct {
	// spoil is the argument that is overwritten with value, so that the kernel's own
	// code refuses the call; r0 where there is no call and the program gets value.
	spoil asm.Register
	value int32
	ok    bool
}

// errno is a failure in place of the call.
func errno(e unix.Errno) failure { return failure{value: -int32(e), ok: true} }

// null is a failure in place of a call that returns an address.
func null() failure { return failure{ok: true} }

// spoiled is a failure by an argument that no kernel takes.
func spoiled(r asm.Register, value int32) failure { return failure{spoil: r, value: value, ok: true} }

// furthest is an offset or a length that is larger than any packet.
const furthest = 1<<31 - 1

// notForwarded is BPF_FIB_LKUP_RET_NOT_FWDED.
const notForwarded = 4

// failureOf says how a helper fails that takes a map, of which info is known, or
// none. What fills memory of the program also when it fails has to do that itself;
// what cannot fail is not made to: arrays have all their entries.
func failureOf(fn asm.BuiltinFunc, info MapInfo) failure {
	switch fn {
	case asm.FnMapLookupElem, asm.FnMapLookupPercpuElem:
		if info.Full != 0 {
			return null()
		}
	case asm.FnMapUpdateElem, asm.FnMapPushElem:
		if info.Full != 0 {
			return errno(info.Full)
		}
	case asm.FnMapDeleteElem:
		if info.Full != 0 {
			return errno(unix.ENOENT)
		}
	case asm.FnRingbufReserve, asm.FnSkStorageGet, asm.FnInodeStorageGet, asm.FnTaskStorageGet, asm.FnCgrpStorageGet,
		asm.FnSkLookupTcp, asm.FnSkLookupUdp, asm.FnSkcLookupTcp, asm.FnSkFullsock, asm.FnTcpSock, asm.FnGetListenerSock:
		return null()
	case asm.FnRingbufOutput:
		return errno(unix.EAGAIN)
	case asm.FnPerfEventOutput, asm.FnSkbOutput, asm.FnXdpOutput:
		return errno(unix.ENOSPC)
	case asm.FnGetStackid:
		return errno(unix.EFAULT)
	}
	return packetFailure(fn)
}

// packetFailure says how a helper fails that works on packets or memory.
func packetFailure(fn asm.BuiltinFunc) failure {
	switch fn {
	case asm.FnXdpAdjustHead, asm.FnXdpAdjustMeta, asm.FnXdpAdjustTail,
		asm.FnSkbChangeHead, asm.FnSkbChangeTail, asm.FnSkbPullData, asm.FnSkbAdjustRoom:
		return spoiled(asm.R2, furthest)
	case asm.FnXdpLoadBytes, asm.FnXdpStoreBytes, asm.FnSkbLoadBytes, asm.FnSkbLoadBytesRelative, asm.FnSkbStoreBytes,
		asm.FnL3CsumReplace, asm.FnL4CsumReplace:
		return spoiled(asm.R2, -1)
	case asm.FnProbeRead, asm.FnProbeReadKernel, asm.FnProbeReadUser,
		asm.FnProbeReadStr, asm.FnProbeReadKernelStr, asm.FnProbeReadUserStr:
		return spoiled(asm.R3, 0)
	case asm.FnFibLookup:
		return failure{value: notForwarded, ok: true}
	case asm.FnSkbChangeProto, asm.FnSkbVlanPush, asm.FnSkbVlanPop, asm.FnCloneRedirect, asm.FnSkbSetTunnelKey, asm.FnSkbSetTunnelOpt:
		return errno(unix.ENOMEM)
	}
	return failure{}
}
