package packet

// Fields lists the fields of a layer's header in order of place; views of the
// same bits (frag_off and its parts) follow the whole. Optional parts are listed
// where a usual header has them, so a field may lie behind the end of a given
// header. The table is shared: do not write to it.
func Fields(layer Layer) []Field {
	if layer >= layerCount {
		return nil
	}
	return fieldTable[layer]
}

// Boundary values that several fields have.
var (
	macs       = []uint64{0, 0xffffffffffff, 0x0180c2000000, 0x01005e000001, 0x333300000001, 0x020000000001}
	etherTypes = []uint64{0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x8847, 0x8848, 0x6558, 0x9100, 0x8864, 0x88cc, 0x894f, 0x05dc, 0x0600, 0, 0xffff}
	protos     = []uint64{6, 17, 1, 58, 4, 41, 47, 0, 43, 44, 60, 50, 51, 59, 132, 136, 137, 143, 2, 255}
	ipv4s      = []uint64{0, 0xffffffff, 0x7f000001, 0x0a000001, 0xc0a80001, 0xe0000001, 0xa9fe0001, 0xac100001}
	ipv6High   = []uint64{0, 0xfe80000000000000, 0xff02000000000000, 0x20010db800000000, 0xfc00000000000000, 0x0064ff9b00000000}
	ipv6Low    = []uint64{0, 1, 2, 0xffff7f000001, 0xffffffffffffffff}
	portValues = []uint64{0, 80, 443, 53, 22, 67, 68, 123, 179, 1023, 1024, 2152, 4789, 6081, 8080, 8472, 32768, 65535}
	lengths16  = []uint64{0, 1, 7, 8, 19, 20, 21, 28, 39, 40, 46, 60, 1280, 1500, 1501, 9000, 0x7fff, 0x8000, 0xffff}
	words16    = []uint64{0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff}
	words32    = []uint64{0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff}
	bytes8     = []uint64{0, 1, 2, 63, 64, 127, 128, 254, 255}
	labels     = []uint64{0, 1, 2, 3, 7, 13, 14, 15, 16, 0xfffff}
	nets24     = []uint64{0, 1, 100, 0xfffffe, 0xffffff}
	bits2      = []uint64{0, 1, 2, 3}
	bits3      = []uint64{0, 1, 4, 7}
	bits4      = []uint64{0, 1, 4, 5, 6, 14, 15}
	optWords   = []uint64{0, 1, 2, 3, 4, 6, 8, 31, 32, 255}
	flag       = []uint64{0, 1}
)

// fieldTable is read only.
var fieldTable = [layerCount][]Field{
	Ethernet: {
		{Name: "h_dest", Bit: 0, Bits: 48, Kind: Address, Values: macs},
		{Name: "h_source", Bit: 48, Bits: 48, Kind: Address, Values: macs},
		{Name: "h_proto", Bit: 96, Bits: 16, Kind: Next, Values: etherTypes},
	},
	VLAN: {
		{Name: "tci", Bit: 0, Bits: 16, Values: []uint64{0, 1, 0x0fff, 0x1000, 0xe000, 0xffff}},
		{Name: "pcp", Bit: 0, Bits: 3, Values: bits3},
		{Name: "dei", Bit: 3, Bits: 1, Values: flag},
		{Name: "vid", Bit: 4, Bits: 12, Values: []uint64{0, 1, 2, 100, 1002, 4094, 4095}},
		{Name: "proto", Bit: 16, Bits: 16, Kind: Next, Values: etherTypes},
	},
	ARP: {
		{Name: "ar_hrd", Bit: 0, Bits: 16, Values: []uint64{0, 1, 6, 0xffff}},
		{Name: "ar_pro", Bit: 16, Bits: 16, Values: etherTypes},
		{Name: "ar_hln", Bit: 32, Bits: 8, Kind: Length, Values: []uint64{0, 1, 5, 6, 7, 255}},
		{Name: "ar_pln", Bit: 40, Bits: 8, Kind: Length, Values: []uint64{0, 3, 4, 5, 16, 255}},
		{Name: "ar_op", Bit: 48, Bits: 16, Values: []uint64{0, 1, 2, 3, 4, 8, 9, 0xffff}},
		{Name: "ar_sha", Bit: 64, Bits: 48, Kind: Address, Values: macs},
		{Name: "ar_sip", Bit: 112, Bits: 32, Kind: Address, Values: ipv4s},
		{Name: "ar_tha", Bit: 144, Bits: 48, Kind: Address, Values: macs},
		{Name: "ar_tip", Bit: 192, Bits: 32, Kind: Address, Values: ipv4s},
	},
	IPv4: {
		{Name: "version", Bit: 0, Bits: 4, Values: bits4},
		{Name: "ihl", Bit: 4, Bits: 4, Kind: Length, Values: bits4},
		{Name: "tos", Bit: 8, Bits: 8, Values: bytes8},
		{Name: "dscp", Bit: 8, Bits: 6, Values: []uint64{0, 8, 46, 63}},
		{Name: "ecn", Bit: 14, Bits: 2, Values: bits2},
		{Name: "tot_len", Bit: 16, Bits: 16, Kind: Length, Values: lengths16},
		{Name: "id", Bit: 32, Bits: 16, Values: words16},
		{Name: "frag_off", Bit: 48, Bits: 16, Values: []uint64{0, 0x4000, 0x2000, 0x2001, 1, 0x1fff, 0x3fff, 0x8000, 0xffff}},
		{Name: "df", Bit: 49, Bits: 1, Values: flag},
		{Name: "mf", Bit: 50, Bits: 1, Values: flag},
		{Name: "frag_offset", Bit: 51, Bits: 13, Values: []uint64{0, 1, 2, 185, 0x1ffe, 0x1fff}},
		{Name: "ttl", Bit: 64, Bits: 8, Values: bytes8},
		{Name: "protocol", Bit: 72, Bits: 8, Kind: Next, Values: protos},
		{Name: "check", Bit: 80, Bits: 16, Kind: Check, Values: words16},
		{Name: "saddr", Bit: 96, Bits: 32, Kind: Address, Values: ipv4s},
		{Name: "daddr", Bit: 128, Bits: 32, Kind: Address, Values: ipv4s},
	},
	IPv6: {
		{Name: "version", Bit: 0, Bits: 4, Values: bits4},
		{Name: "tclass", Bit: 4, Bits: 8, Values: bytes8},
		{Name: "flow_lbl", Bit: 12, Bits: 20, Values: labels},
		{Name: "payload_len", Bit: 32, Bits: 16, Kind: Length, Values: lengths16},
		{Name: "nexthdr", Bit: 48, Bits: 8, Kind: Next, Values: protos},
		{Name: "hop_limit", Bit: 56, Bits: 8, Values: bytes8},
		{Name: "saddr_hi", Bit: 64, Bits: 64, Kind: Address, Values: ipv6High},
		{Name: "saddr_lo", Bit: 128, Bits: 64, Kind: Address, Values: ipv6Low},
		{Name: "daddr_hi", Bit: 192, Bits: 64, Kind: Address, Values: ipv6High},
		{Name: "daddr_lo", Bit: 256, Bits: 64, Kind: Address, Values: ipv6Low},
	},
	HopByHop: optionFields,
	DestOpts: optionFields,
	Routing: {
		{Name: "nexthdr", Bit: 0, Bits: 8, Kind: Next, Values: protos},
		{Name: "hdrlen", Bit: 8, Bits: 8, Kind: Length, Values: optWords},
		{Name: "type", Bit: 16, Bits: 8, Values: []uint64{0, 1, 2, 3, 4, 5, 255}},
		{Name: "segments_left", Bit: 24, Bits: 8, Values: []uint64{0, 1, 2, 3, 127, 255}},
		{Name: "first_segment", Bit: 32, Bits: 8, Values: []uint64{0, 1, 2, 127, 255}},
		{Name: "flags", Bit: 40, Bits: 8, Values: bytes8},
		{Name: "tag", Bit: 48, Bits: 16, Values: words16},
	},
	Fragment: {
		{Name: "nexthdr", Bit: 0, Bits: 8, Kind: Next, Values: protos},
		{Name: "reserved", Bit: 8, Bits: 8, Values: bytes8},
		{Name: "frag_off", Bit: 16, Bits: 16, Values: []uint64{0, 1, 8, 9, 0xfff8, 0xfff9, 0xffff}},
		{Name: "frag_offset", Bit: 16, Bits: 13, Values: []uint64{0, 1, 2, 185, 0x1ffe, 0x1fff}},
		{Name: "mf", Bit: 31, Bits: 1, Values: flag},
		{Name: "identification", Bit: 32, Bits: 32, Values: words32},
	},
	TCP: {
		{Name: "source", Bit: 0, Bits: 16, Kind: Port, Values: portValues},
		{Name: "dest", Bit: 16, Bits: 16, Kind: Port, Values: portValues},
		{Name: "seq", Bit: 32, Bits: 32, Values: words32},
		{Name: "ack_seq", Bit: 64, Bits: 32, Values: words32},
		{Name: "doff", Bit: 96, Bits: 4, Kind: Length, Values: bits4},
		{Name: "res1", Bit: 100, Bits: 4, Values: bits4},
		{Name: "flags", Bit: 104, Bits: 8, Values: []uint64{0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x01, 0x29, 0x00, 0xff, 0xc2, 0x03}},
		{Name: "cwr", Bit: 104, Bits: 1, Values: flag},
		{Name: "ece", Bit: 105, Bits: 1, Values: flag},
		{Name: "urg", Bit: 106, Bits: 1, Values: flag},
		{Name: "ack", Bit: 107, Bits: 1, Values: flag},
		{Name: "psh", Bit: 108, Bits: 1, Values: flag},
		{Name: "rst", Bit: 109, Bits: 1, Values: flag},
		{Name: "syn", Bit: 110, Bits: 1, Values: flag},
		{Name: "fin", Bit: 111, Bits: 1, Values: flag},
		{Name: "window", Bit: 112, Bits: 16, Values: words16},
		{Name: "check", Bit: 128, Bits: 16, Kind: Check, Values: words16},
		{Name: "urg_ptr", Bit: 144, Bits: 16, Values: words16},
	},
	UDP: {
		{Name: "source", Bit: 0, Bits: 16, Kind: Port, Values: portValues},
		{Name: "dest", Bit: 16, Bits: 16, Kind: Port, Values: portValues},
		{Name: "len", Bit: 32, Bits: 16, Kind: Length, Values: lengths16},
		{Name: "check", Bit: 48, Bits: 16, Kind: Check, Values: words16},
	},
	ICMPv4: icmpFields([]uint64{0, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 17, 18, 42, 255}),
	ICMPv6: icmpFields([]uint64{1, 2, 3, 4, 128, 129, 130, 131, 133, 134, 135, 136, 137, 143, 0, 255}),
	GRE: {
		{Name: "flags", Bit: 0, Bits: 16, Values: []uint64{0, 0x8000, 0x2000, 0x1000, 0x3000, 0xb000, 0x4000, 0x2001, 0xffff}},
		{Name: "csum_present", Bit: 0, Bits: 1, Values: flag},
		{Name: "routing_present", Bit: 1, Bits: 1, Values: flag},
		{Name: "key_present", Bit: 2, Bits: 1, Values: flag},
		{Name: "seq_present", Bit: 3, Bits: 1, Values: flag},
		{Name: "version", Bit: 13, Bits: 3, Values: bits3},
		{Name: "protocol", Bit: 16, Bits: 16, Kind: Next, Values: etherTypes},
	},
	VXLAN: {
		{Name: "flags", Bit: 0, Bits: 8, Values: []uint64{8, 0, 0x0c, 0x88, 0xff}},
		{Name: "vni", Bit: 32, Bits: 24, Values: nets24},
	},
	Geneve: {
		{Name: "ver", Bit: 0, Bits: 2, Values: bits2},
		{Name: "opt_len", Bit: 2, Bits: 6, Kind: Length, Values: []uint64{0, 1, 2, 31, 32, 62, 63}},
		{Name: "oam", Bit: 8, Bits: 1, Values: flag},
		{Name: "critical", Bit: 9, Bits: 1, Values: flag},
		{Name: "proto_type", Bit: 16, Bits: 16, Kind: Next, Values: etherTypes},
		{Name: "vni", Bit: 32, Bits: 24, Values: nets24},
		{Name: "opt_class", Bit: 64, Bits: 16, Values: words16},
		{Name: "type", Bit: 80, Bits: 8, Values: bytes8},
		{Name: "length", Bit: 91, Bits: 5, Kind: Length, Values: []uint64{0, 1, 2, 15, 16, 30, 31}},
	},
	MPLS: {
		{Name: "label", Bit: 0, Bits: 20, Values: labels},
		{Name: "tc", Bit: 20, Bits: 3, Values: bits3},
		{Name: "bos", Bit: 23, Bits: 1, Kind: Next, Values: flag},
		{Name: "ttl", Bit: 24, Bits: 8, Values: bytes8},
	},
	GTPU: {
		{Name: "flags", Bit: 0, Bits: 8, Values: []uint64{0x30, 0x34, 0x32, 0x31, 0x37, 0x20, 0, 0xff}},
		{Name: "type", Bit: 8, Bits: 8, Kind: Next, Values: []uint64{255, 1, 2, 26, 31, 254, 0}},
		{Name: "length", Bit: 16, Bits: 16, Kind: Length, Values: lengths16},
		{Name: "tid", Bit: 32, Bits: 32, Values: words32},
		{Name: "seq", Bit: 64, Bits: 16, Values: words16},
		{Name: "npdu", Bit: 80, Bits: 8, Values: bytes8},
		{Name: "next_ext", Bit: 88, Bits: 8, Values: []uint64{0, 0x85, 0xc0, 0x40, 0xff}},
	},
}

var optionFields = []Field{
	{Name: "nexthdr", Bit: 0, Bits: 8, Kind: Next, Values: protos},
	{Name: "hdrlen", Bit: 8, Bits: 8, Kind: Length, Values: optWords},
	{Name: "opt_type", Bit: 16, Bits: 8, Values: []uint64{0, 1, 5, 0x26, 0x63, 0xc2, 0xc9, 0xff}},
	{Name: "opt_len", Bit: 24, Bits: 8, Kind: Length, Values: optWords},
}

func icmpFields(types []uint64) []Field {
	return []Field{
		{Name: "type", Bit: 0, Bits: 8, Values: types},
		{Name: "code", Bit: 8, Bits: 8, Values: bytes8},
		{Name: "checksum", Bit: 16, Bits: 16, Kind: Check, Values: words16},
		{Name: "id", Bit: 32, Bits: 16, Values: words16},
		{Name: "sequence", Bit: 48, Bits: 16, Values: words16},
	}
}
