package bpf

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Struct bpf_sk_lookup of the kernel's user-space interface.
const (
	lookupSize        = 72
	lookupOffFamily   = 8
	lookupOffProtocol = 12
)

// lookupRow is of programs that choose a socket for a connection. There is no
// packet; sockets to choose are in the object's maps of sockets (see openSockets).
func lookupRow() programType {
	return programType{
		kind: "sk_lookup", contextSize: lookupSize, context: lookupContext, output: lookupOutput(), fix: fixLookup,
		noPacket: true, result: noResult, needsContext: true, sockets: true,
		verdicts: []corpus.Verdict{{Value: 0, Name: "SK_DROP"}, {Value: 1, Name: "SK_PASS"}}, closed: true,
	}
}

func lookupContext(int, *machine) []corpus.Field {
	addresses := []uint64{0x7f000001, 0xffffffff, 0x0a000001, 0xe0000001}
	ports := []uint64{1, 22, 53, 80, 443, 1023, 1024, 8080, 65535}
	fields := []corpus.Field{
		{Name: "family", Offset: lookupOffFamily, Size: 4, Max: unix.AF_INET6, Values: []uint64{unix.AF_INET, unix.AF_INET6}},
		{Name: "protocol", Offset: lookupOffProtocol, Size: 4, Max: 255, Values: []uint64{unix.IPPROTO_TCP, unix.IPPROTO_UDP}},
		{Name: "remote_ip4", Offset: 16, Size: 4, Big: true, Values: addresses},
	}
	fields = append(fields, words("remote_ip6", 20, 4)...)
	fields = append(fields,
		corpus.Field{Name: "remote_port", Offset: 36, Size: 2, Big: true, Values: ports},
		corpus.Field{Name: "local_ip4", Offset: 40, Size: 4, Big: true, Values: addresses})
	fields = append(fields, words("local_ip6", 44, 4)...)
	return append(fields, corpus.Field{Name: "local_port", Offset: 60, Size: 4, Max: 65535, Values: ports})
}

// lookupOutput has the cookie of the socket that was chosen, 0 for none.
func lookupOutput() []corpus.Field {
	return append([]corpus.Field{{Name: "cookie", Offset: 0, Size: 8}}, lookupContext(0, nil)...)
}

// fixLookup makes family one of the two that there are, and protocol one that has
// sockets where it is not set: the kernel fills in neither.
func fixLookup(ctx, _ []byte, _ int) {
	family := ctx[lookupOffFamily : lookupOffFamily+4]
	if binary.NativeEndian.Uint32(family) != unix.AF_INET6 {
		binary.NativeEndian.PutUint32(family, unix.AF_INET)
	}
	protocol := ctx[lookupOffProtocol : lookupOffProtocol+4]
	if binary.NativeEndian.Uint32(protocol) == 0 {
		binary.NativeEndian.PutUint32(protocol, unix.IPPROTO_TCP)
	}
}
