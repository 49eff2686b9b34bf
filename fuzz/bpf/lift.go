package bpf

import (
	"encoding/binary"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/cover"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/lift"
)

// Offsets in struct __sk_buff of what follows from the packet.
const (
	skbOffLen      = 0
	skbOffData     = 76
	skbOffDataEnd  = 80
	skbOffDataMeta = 140
)

// skbName names fields of __sk_buff that an input cannot set.
func skbName(offset int) string {
	switch offset {
	case 4:
		return "pkt_type"
	case 12:
		return "queue_mapping"
	case 16:
		return "protocol"
	case 20:
		return "vlan_present"
	case 24:
		return "vlan_tci"
	case 28:
		return "vlan_proto"
	case 44:
		return "tc_index"
	case 68:
		return "hash"
	case 72:
		return "tc_classid"
	}
	return ""
}

// lift fills in where the operands of the table's comparisons come from.
func (t *Target) lift() {
	opts := lift.Options{Context: t.member, Constant: t.constantAt}
	if len(t.table.Comparisons) > 0 {
		t.plan.Lift(t.table.Comparisons, opts)
	}
	if len(t.table.Entries) > 0 {
		t.plan.Lift(t.table.Entries, opts)
		t.table.Entries = slices.DeleteFunc(t.table.Entries, func(c cover.Comparison) bool { return c.A.Source != cover.MapEntry })
	}
}

// member says what a load from the context gives.
func (t *Target) member(offset, size int) (lift.Member, string) {
	switch t.row.contextSize {
	case skbSize:
		switch {
		case size == 4 && offset == skbOffLen:
			return lift.Length, ""
		case size == 4 && offset == skbOffData:
			return lift.Data, ""
		case size == 4 && offset == skbOffDataEnd:
			return lift.DataEnd, ""
		case size == 4 && offset == skbOffDataMeta:
			return lift.DataMeta, ""
		case skbName(offset) != "":
			return lift.Field, skbName(offset)
		}
	case xdpSize:
		switch {
		case size == 4 && offset == xdpOffData:
			return lift.Data, ""
		case size == 4 && offset == xdpOffDataEnd:
			return lift.DataEnd, ""
		case size == 4 && offset == xdpOffMeta:
			return lift.DataMeta, ""
		}
	}
	for _, fields := range [...][]corpus.Field{t.shape.Context, t.shape.Output} {
		for i := range fields {
			if f := &fields[i]; offset >= f.Offset && offset < f.Offset+f.Size {
				return lift.Field, f.Name
			}
		}
	}
	return lift.Field, ""
}

// constantAt returns bytes of a map that holds constants.
func (t *Target) constantAt(name string, offset int64, size int) (uint64, bool) {
	m := t.spec.Maps[name]
	if m == nil || m.Type != ebpf.Array || len(m.Contents) != 1 || !isConstant(name) && m.Flags&unix.BPF_F_RDONLY_PROG == 0 {
		return 0, false
	}
	bytes, ok := m.Contents[0].Value.([]byte)
	if !ok || offset < 0 || offset+int64(size) > int64(len(bytes)) {
		return 0, false
	}
	switch at := bytes[offset : offset+int64(size)]; size {
	case 1:
		return uint64(at[0]), true
	case 2:
		return uint64(binary.NativeEndian.Uint16(at)), true
	case 4:
		return uint64(binary.NativeEndian.Uint32(at)), true
	case 8:
		return binary.NativeEndian.Uint64(at), true
	}
	return 0, false
}
