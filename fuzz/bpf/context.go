package bpf

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Sizes and offsets are those of struct __sk_buff and struct xdp_md in the
// kernel's user-space interface, which never change.
const (
	skbSize       = 192
	skbOffWireLen = 160

	xdpSize       = 24
	xdpOffData    = 0
	xdpOffDataEnd = 4
	xdpOffMeta    = 8
	xdpOffIngress = 12
	xdpOffQueue   = 16
	xdpOffEgress  = 20
)

// lo is the only interface of a fresh network namespace.
const lo = 1

// maxWireLen is GSO_LEGACY_MAX_SIZE, what the kernel compares wire_len with.
const maxWireLen = 65536

// skbContext lists the fields of __sk_buff that may be other than zero in ctx_in.
func skbContext(largest int, n *machine) []corpus.Field {
	fields := []corpus.Field{
		{Name: "mark", Offset: 8, Size: 4, Values: []uint64{1, 0xff, 0x100, 0xffff, 0x10000, 0x80000000, 0xffffffff}},
		{Name: "priority", Offset: 32, Size: 4, Values: []uint64{1, 7, 0x10000, 0x10001, 0xffffffff}},
		{Name: "ingress_ifindex", Offset: 36, Size: 4, Values: []uint64{0, lo, 2, 0x7fffffff}},
		// An index above 1 has to exist in the namespace of the caller, 0 means lo.
		{Name: "ifindex", Offset: 40, Size: 4, Max: n.lastIndex(), Values: []uint64{0, lo, n.lastIndex()}},
	}
	fields = append(fields, cb()...)
	return append(fields,
		corpus.Field{Name: "tstamp", Offset: 152, Size: 8, Values: []uint64{1, 1e9, 0x7fffffffffffffff, 0xffffffffffffffff}},
		// 0 means the packet's length; less than that is raised to it (see fixSkb).
		corpus.Field{
			Name: "wire_len", Offset: skbOffWireLen, Size: 4, Max: maxWireLen,
			Values: []uint64{0, 1514, uint64(min(largest, maxWireLen)), 9000, 65535, maxWireLen},
		},
		corpus.Field{Name: "gso_segs", Offset: 164, Size: 4, Max: 65535, Values: []uint64{0, 1, 2, 65535}},
		corpus.Field{Name: "gso_size", Offset: 176, Size: 4, Max: 65535, Values: []uint64{0, 1, 1448, 65535}},
		corpus.Field{Name: "hwtstamp", Offset: 184, Size: 8, Values: []uint64{1, 1e9, 0x7fffffffffffffff, 0xffffffffffffffff}},
	)
}

func cb() []corpus.Field {
	names := [5]string{"cb[0]", "cb[1]", "cb[2]", "cb[3]", "cb[4]"}
	fields := make([]corpus.Field, len(names))
	for i, name := range names {
		fields[i] = corpus.Field{Name: name, Offset: 48 + 4*i, Size: 4, Values: []uint64{1, 0xff, 0x80000000, 0xffffffff}}
	}
	return fields
}

// skbOutput lists what the kernel fills in ctx_out.
func skbOutput() []corpus.Field {
	fields := []corpus.Field{
		{Name: "mark", Offset: 8, Size: 4},
		{Name: "priority", Offset: 32, Size: 4},
		{Name: "ingress_ifindex", Offset: 36, Size: 4},
		{Name: "ifindex", Offset: 40, Size: 4},
	}
	for _, f := range cb() {
		f.Values = nil
		fields = append(fields, f)
	}
	return append(fields,
		corpus.Field{Name: "tstamp", Offset: 152, Size: 8},
		corpus.Field{Name: "wire_len", Offset: skbOffWireLen, Size: 4},
		corpus.Field{Name: "gso_segs", Offset: 164, Size: 4},
		corpus.Field{Name: "hwtstamp", Offset: 184, Size: 8},
	)
}

// xdpContext lists the fields of xdp_md that an input may set. egress_ifindex has
// to be 0; data, data_end and data_meta follow from the lengths of packet and
// metadata. A queue index needs an interface with so many queues, see fixXDP.
func xdpContext(_ int, n *machine) []corpus.Field {
	fields := []corpus.Field{
		{Name: "ingress_ifindex", Offset: xdpOffIngress, Size: 4, Max: n.lastIndex(), Values: []uint64{0, lo, n.lastIndex()}},
	}
	if n != nil && n.queues > 1 {
		last := uint64(n.queues - 1)
		fields = append(fields, corpus.Field{Name: "rx_queue_index", Offset: xdpOffQueue, Size: 4, Max: last, Values: []uint64{0, 1, last}})
	}
	return fields
}

func xdpOutput() []corpus.Field {
	return []corpus.Field{
		{Name: "data", Offset: xdpOffData, Size: 4},
		{Name: "data_end", Offset: xdpOffDataEnd, Size: 4},
		{Name: "ingress_ifindex", Offset: xdpOffIngress, Size: 4},
		{Name: "rx_queue_index", Offset: xdpOffQueue, Size: 4},
	}
}

// fixSkb raises a wire_len that is shorter than the packet, which is EINVAL.
func fixSkb(ctx, packet []byte, _ int) {
	at := ctx[skbOffWireLen : skbOffWireLen+4]
	if n := binary.NativeEndian.Uint32(at); n != 0 && n < uint32(len(packet)) {
		binary.NativeEndian.PutUint32(at, uint32(len(packet)))
	}
}

// fixXDP says where the packet lies: an all-zero xdp_md would mean a packet of 0
// bytes. Lo has a single queue, and no interface has none.
func fixXDP(ctx, packet []byte, meta int) {
	binary.NativeEndian.PutUint32(ctx[xdpOffData:], uint32(meta))
	binary.NativeEndian.PutUint32(ctx[xdpOffDataEnd:], uint32(meta+len(packet)))
	clear(ctx[xdpOffMeta:xdpOffIngress])
	clear(ctx[xdpOffEgress : xdpOffEgress+4])
	if binary.NativeEndian.Uint32(ctx[xdpOffIngress:]) <= lo {
		clear(ctx[xdpOffQueue : xdpOffQueue+4])
	}
}

// fixContext makes any bytes a context that the kernel accepts for a packet and
// metadata of the given length: fields that are out of range are folded into it,
// all that is no field becomes zero, and what follows from the lengths is filled
// in. Ctx has sh.ContextSize bytes. It does not allocate.
func (row *programType) fixContext(sh *corpus.Shape, ctx, packet []byte, meta int) {
	end := 0
	for i := range sh.Context {
		f := &sh.Context[i]
		if f.Offset > end {
			clear(ctx[end:f.Offset])
		}
		end = max(end, f.Offset+f.Size) // members of a union overlap
		if f.Max == 0 {
			continue
		}
		at := ctx[f.Offset : f.Offset+f.Size]
		if n := integerAt(at, f.Big); n < f.Min || n > f.Max {
			putInteger(at, f.Min+n%(f.Max-f.Min+1), f.Big)
		}
	}
	clear(ctx[end:])
	row.fix(ctx, packet, meta)
}
