package kernel

import (
	"encoding/binary"
	"math"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// contextField is a field of a context structure in the kernel's user-space
// interface, whose layout never changes. What the kernel accepts there does.
type contextField struct {
	name         string
	offset, size int
	// with, if not nil, makes the rest of the context legal for the field.
	with func(p *prober, ctx []byte)
}

const (
	skbContextSize    = 192
	flowContextSize   = 56
	lookupContextSize = 72
	xdpIngress        = 12 // offset of ingress_ifindex

	nfPreRouting = 0
	nfLocalOut   = 3
)

// words lays out fields of 4 bytes from offset on; "" is a hole.
func words(offset int, names ...string) []contextField {
	var fields []contextField
	for i, name := range names {
		if name != "" {
			fields = append(fields, contextField{name: name, offset: offset + 4*i, size: 4})
		}
	}
	return fields
}

// skbFields is struct __sk_buff.
func skbFields() []contextField {
	fields := words(0, "len", "pkt_type", "mark", "queue_mapping", "protocol", "vlan_present", "vlan_tci", "vlan_proto",
		"priority", "ingress_ifindex", "ifindex", "tc_index", "cb[0]", "cb[1]", "cb[2]", "cb[3]", "cb[4]", "hash", "tc_classid",
		"data", "data_end", "napi_id", "family", "remote_ip4", "local_ip4", "remote_ip6[0]", "remote_ip6[1]", "remote_ip6[2]",
		"remote_ip6[3]", "local_ip6[0]", "local_ip6[1]", "local_ip6[2]", "local_ip6[3]", "remote_port", "local_port", "data_meta")
	fields = append(fields, contextField{name: "flow_keys", offset: 144, size: 8}, contextField{name: "tstamp", offset: 152, size: 8})
	fields = append(fields, words(160, "wire_len", "gso_segs")...)
	return append(fields,
		contextField{name: "sk", offset: 168, size: 8},
		contextField{name: "gso_size", offset: 176, size: 4},
		contextField{name: "tstamp_type", offset: 180, size: 1},
		contextField{name: "hwtstamp", offset: 184, size: 8})
}

// xdpFields is struct xdp_md.
func xdpFields() []contextField {
	fields := words(0, "data", "data_end", "data_meta", "ingress_ifindex", "rx_queue_index", "egress_ifindex")
	for i := range fields {
		if fields[i].name == "rx_queue_index" {
			// A queue is one of an interface that has it.
			fields[i].with = func(p *prober, ctx []byte) {
				binary.NativeEndian.PutUint32(ctx[xdpIngress:], uint32(p.queued))
			}
		}
	}
	return fields
}

// xdpBase is a context for a legal packet without metadata.
func xdpBase() []byte {
	ctx := make([]byte, xdpContextSize)
	binary.NativeEndian.PutUint32(ctx[4:], legalPacket)
	return ctx
}

// flowFields is struct bpf_flow_keys.
func flowFields() []contextField {
	return append([]contextField{
		{name: "nhoff", offset: 0, size: 2},
		{name: "thoff", offset: 2, size: 2},
		{name: "addr_proto", offset: 4, size: 2},
		{name: "is_frag", offset: 6, size: 1},
		{name: "is_first_frag", offset: 7, size: 1},
		{name: "is_encap", offset: 8, size: 1},
		{name: "ip_proto", offset: 9, size: 1},
		{name: "n_proto", offset: 10, size: 2},
		{name: "sport", offset: 12, size: 2},
		{name: "dport", offset: 14, size: 2},
	}, words(16, "ipv6_src[0]", "ipv6_src[1]", "ipv6_src[2]", "ipv6_src[3]", "ipv6_dst[0]", "ipv6_dst[1]", "ipv6_dst[2]", "ipv6_dst[3]", "flags", "flow_label")...)
}

// netfilterFields is what user space may give of the kernel's struct nf_hook_state.
func netfilterFields() []contextField {
	return []contextField{{name: "hook", offset: 0, size: 1}, {name: "pf", offset: 1, size: 1}}
}

func netfilterState(hook, family byte) []byte { return []byte{hook, family, 0, 0, 0, 0, 0, 0} }

// lookupFields is struct bpf_sk_lookup.
func lookupFields() []contextField {
	fields := append([]contextField{{name: "cookie", offset: 0, size: 8}}, words(8, "family", "protocol", "remote_ip4",
		"remote_ip6[0]", "remote_ip6[1]", "remote_ip6[2]", "remote_ip6[3]")...)
	fields = append(fields, contextField{name: "remote_port", offset: 36, size: 2})
	return append(fields, words(40, "local_ip4", "local_ip6[0]", "local_ip6[1]", "local_ip6[2]", "local_ip6[3]", "local_port", "ingress_ifindex")...)
}

// lookupBase is a lookup of an IPv4 socket; the kernel takes no other context than
// one with a family.
func lookupBase() []byte {
	ctx := make([]byte, lookupContextSize)
	binary.NativeEndian.PutUint32(ctx[8:], unix.AF_INET)
	return ctx
}

// base is a legal context of full size.
func (t *probedType) base() []byte {
	switch {
	case t.context != nil:
		return append([]byte(nil), t.context...)
	case t.spec.Type == ebpf.FlowDissector:
		return make([]byte, flowContextSize)
	default:
		return make([]byte, skbContextSize)
	}
}

// fields returns the names of those that may be other than zero.
func (p *prober) fields(t *probedType, trial *trial) []string {
	var names []string
	for i := range t.fields {
		if p.accepts(t, trial, &t.fields[i]) {
			names = append(names, t.fields[i].name)
		}
	}
	trial.run.SetContext(nil, nil)
	return names
}

// accepts tries a few values: some fields are lengths, some name an interface or an
// address family, some are bounded by the packet.
func (p *prober) accepts(t *probedType, trial *trial, f *contextField) bool {
	var packet []byte
	if t.packet > 0 {
		packet = newPacket(unix.ETH_P_IP)
	}
	for _, v := range [...]uint64{1, 2, 4, legalPacket, unix.AF_INET6, 1 << 20} {
		ctx := t.base()
		if f.with != nil {
			f.with(p, ctx)
		}
		if !putWord(ctx[f.offset:f.offset+f.size], v) {
			continue
		}
		trial.run.SetContext(ctx, nil)
		if trial.data(packet) == 0 {
			return true
		}
	}
	return false
}

// putWord writes v into a field, and reports whether it fits.
func putWord(at []byte, v uint64) bool {
	switch len(at) {
	case 1:
		at[0] = byte(v)
		return v <= math.MaxUint8
	case 2:
		binary.NativeEndian.PutUint16(at, uint16(v))
		return v <= math.MaxUint16
	case 4:
		binary.NativeEndian.PutUint32(at, uint32(v))
	default:
		binary.NativeEndian.PutUint64(at, v)
	}
	return true
}

// newQueues makes an interface with two receive queues, which lo does not have, and
// returns its index, or 0. The interface ends with the namespace.
func (p *prober) newQueues() int {
	if !p.isolated {
		return 0
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "queues", 2, 2
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}); err != nil {
		return 0
	}
	made, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return 0
	}
	return made.Attrs().Index
}
