package bpf

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// What BPF_PROG_RUN reads of struct nf_hook_state; the rest are pointers, which
// have to be NULL.
const (
	hookSize    = 48
	hookOffHook = 0
	hookOffPF   = 1
)

// Hooks of netfilter.
const (
	hookLocalOut    = 3
	hookPostRouting = 4
)

// netfilterRow is of netfilter hooks. A packet begins with its Ethernet header for
// every hook; the kernel is given what follows it at LOCAL_OUT.
func netfilterRow() programType {
	return programType{
		kind: "netfilter", contextSize: hookSize, context: hookContext, fix: fixHook,
		hidden: ethernet, headerless: func(ctx []byte) bool { return ctx[hookOffHook] == hookLocalOut },
		minIPv4: 34, minIPv6: 54,
		result: noResult, needsContext: true, answer: noAnswer,
		verdicts: []corpus.Verdict{{Value: 0, Name: "NF_DROP"}, {Value: 1, Name: "NF_ACCEPT"}}, closed: true,
	}
}

func hookContext(int, *machine) []corpus.Field {
	return []corpus.Field{
		{Name: "hook", Offset: hookOffHook, Size: 1, Max: hookPostRouting, Values: []uint64{0, 1, 2, 3, 4}},
		{Name: "pf", Offset: hookOffPF, Size: 1, Max: unix.NFPROTO_IPV6, Values: []uint64{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6}},
	}
}

// fixHook makes the family that of the packet. Packets of other protocols are
// refused with EPROTO at any hook but LOCAL_OUT, where the family alone says what
// they are.
func fixHook(ctx, packet []byte, _ int) {
	var ethertype uint16
	if len(packet) >= ethernet {
		ethertype = binary.BigEndian.Uint16(packet[ethernet-2:])
	}
	switch {
	case ethertype == ethIPv4:
		ctx[hookOffPF] = unix.NFPROTO_IPV4
	case ethertype == ethIPv6:
		ctx[hookOffPF] = unix.NFPROTO_IPV6
	default:
		ctx[hookOffHook] = hookLocalOut
		if ctx[hookOffPF] != unix.NFPROTO_IPV6 {
			ctx[hookOffPF] = unix.NFPROTO_IPV4
		}
	}
}
