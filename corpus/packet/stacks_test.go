package packet_test

import (
	"net"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// A stack is a packet that gopacket serialised, or one with bytes of our own
// where gopacket cannot write the protocol.
type stack struct {
	name, want string
	bytes      []byte
}

func serialize(t testing.TB, ls ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, ls...); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(buf.Bytes())
}

// eth is 14 bytes of our own, since gopacket pads its Ethernet layer to 60.
func eth(t layers.EthernetType) gopacket.Payload {
	return raw(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, byte(t>>8), byte(t))
}

func vlan(t layers.EthernetType) *layers.Dot1Q {
	return &layers.Dot1Q{VLANIdentifier: 100, Type: t}
}

func ip4(p layers.IPProtocol, opts ...layers.IPv4Option) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: p, Options: opts, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
}

func ip6(p layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: p, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
}

func udp4(port layers.UDPPort) *layers.UDP { return udp(ip4(layers.IPProtocolUDP), port) }
func udp6(port layers.UDPPort) *layers.UDP { return udp(ip6(layers.IPProtocolUDP), port) }

func udp(ip gopacket.NetworkLayer, port layers.UDPPort) *layers.UDP {
	u := &layers.UDP{SrcPort: 5000, DstPort: port}
	_ = u.SetNetworkLayerForChecksum(ip)
	return u
}

func tcp4(opts ...layers.TCPOption) *layers.TCP { return tcp(ip4(layers.IPProtocolTCP), opts...) }
func tcp6(opts ...layers.TCPOption) *layers.TCP { return tcp(ip6(layers.IPProtocolTCP), opts...) }

func tcp(ip gopacket.NetworkLayer, opts ...layers.TCPOption) *layers.TCP {
	h := &layers.TCP{SrcPort: 5000, DstPort: 80, Seq: 1, SYN: true, Window: 1000, Options: opts}
	_ = h.SetNetworkLayerForChecksum(ip)
	return h
}

func icmp6(kind uint8) *layers.ICMPv6 {
	h := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
	_ = h.SetNetworkLayerForChecksum(ip6(layers.IPProtocolICMPv6))
	return h
}

func payload(n int) gopacket.Payload {
	p := make(gopacket.Payload, n)
	for i := range p {
		p[i] = byte(i * 7)
	}
	return p
}

// raw is a layer given as bytes.
func raw(b ...byte) gopacket.Payload { return b }

func stacks(t testing.TB) []stack {
	const (
		e4   = layers.EthernetTypeIPv4
		e6   = layers.EthernetTypeIPv6
		eq   = layers.EthernetTypeDot1Q
		mpls = layers.EthernetTypeMPLSUnicast
		pu   = layers.IPProtocolUDP
		pt   = layers.IPProtocolTCP
		p4   = layers.IPProtocolIPv4
		p6   = layers.IPProtocolIPv6
		gre  = layers.IPProtocolGRE
	)
	inner := func() []gopacket.SerializableLayer {
		return []gopacket.SerializableLayer{ip4(pu), udp4(53), payload(11)}
	}
	var all []stack
	add := func(name, want string, ls ...gopacket.SerializableLayer) {
		all = append(all, stack{name, want, serialize(t, ls...)})
	}
	nest := func(name, want string, ls ...gopacket.SerializableLayer) {
		add(name, want+"/ipv4/udp/payload", append(ls, inner()...)...)
	}
	add("arp", "ethernet/arp", eth(layers.EthernetTypeARP), &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: e4, Operation: 1, HwAddressSize: 6, ProtAddressSize: 4,
		SourceHwAddress: make([]byte, 6), SourceProtAddress: []byte{10, 0, 0, 1}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 0, 0, 2},
	})
	nest("udp", "ethernet", eth(e4))
	add("tcp with options", "ethernet/ipv4/tcp/payload", eth(e4), ip4(pt),
		tcp4(layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}), payload(3))
	add("ipv4 options", "ethernet/ipv4/tcp/payload", eth(e4),
		ip4(pt, layers.IPv4Option{OptionType: 7, OptionLength: 7, OptionData: []byte{4, 0, 0, 0, 0}}), tcp4(), payload(3))
	add("icmp", "ethernet/ipv4/icmp/payload", eth(e4), ip4(layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 1, Seq: 1}, payload(9))
	nest("icmp error", "ethernet/ipv4/icmp", eth(e4), ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4)})
	nest("vlan", "ethernet/vlan", eth(eq), vlan(e4))
	nest("qinq", "ethernet/vlan/vlan", eth(layers.EthernetTypeQinQ), vlan(eq), vlan(e4))
	add("udp6", "ethernet/ipv6/udp/payload", eth(e6), ip6(pu), udp6(53), payload(10))
	add("tcp6", "ethernet/ipv6/tcp/payload", eth(e6), ip6(pt), tcp6(), payload(1))
	add("icmpv6", "ethernet/ipv6/icmpv6/payload", eth(e6), ip6(layers.IPProtocolICMPv6), icmp6(128), payload(8))
	add("neighbour solicitation", "ethernet/ipv6/icmpv6", eth(e6), ip6(layers.IPProtocolICMPv6), icmp6(135), payload(20))
	add("hop by hop, destination options", "ethernet/ipv6/hopbyhop/destopts/udp/payload", eth(e6), ip6(layers.IPProtocolIPv6HopByHop),
		raw(60, 0, 1, 4, 0, 0, 0, 0), raw(17, 0, 1, 4, 0, 0, 0, 0), udp6(53), payload(4))
	add("ipv6 fragment", "ethernet/ipv6/fragment/udp/payload", eth(e6), ip6(layers.IPProtocolIPv6Fragment), raw(17, 0, 0, 1, 0, 0, 0, 9), udp6(53), payload(4))
	add("srv6", "ethernet/ipv6/routing/ipv6/tcp/payload", eth(e6), ip6(43),
		raw(append([]byte{41, 2, 4, 0, 0, 0, 0, 0}, net.ParseIP("fd00::2")...)...), ip6(pt), tcp6(), payload(2))
	nest("4in4", "ethernet/ipv4", eth(e4), ip4(p4))
	nest("4in6", "ethernet/ipv6", eth(e6), ip6(p4))
	add("6in4", "ethernet/ipv4/ipv6/tcp/payload", eth(e4), ip4(p6), ip6(pt), tcp6(), payload(7))
	add("6in6", "ethernet/ipv6/ipv6/tcp/payload", eth(e6), ip6(p6), ip6(pt), tcp6(), payload(7))
	nest("gre", "ethernet/ipv4/gre", eth(e4), ip4(gre), &layers.GRE{Protocol: e4})
	nest("gre key, sequence, checksum", "ethernet/ipv4/gre", eth(e4), ip4(gre),
		&layers.GRE{Protocol: e4, ChecksumPresent: true, KeyPresent: true, SeqPresent: true, Key: 7, Seq: 9})
	nest("gre with ethernet", "ethernet/ipv4/gre/ethernet", eth(e4), ip4(gre), &layers.GRE{Protocol: layers.EthernetTypeTransparentEthernetBridging}, eth(e4))
	nest("gre with mpls", "ethernet/ipv4/gre/mpls", eth(e4), ip4(gre), &layers.GRE{Protocol: mpls}, &layers.MPLS{Label: 9, StackBottom: true, TTL: 3})
	nest("mpls", "ethernet/mpls/mpls", eth(mpls), &layers.MPLS{Label: 8, TTL: 3}, &layers.MPLS{Label: 9, StackBottom: true, TTL: 3})
	nest("vxlan", "ethernet/ipv4/udp/vxlan/ethernet", eth(e4), ip4(pu), udp4(4789), &layers.VXLAN{ValidIDFlag: true, VNI: 5}, eth(e4))
	nest("geneve", "ethernet/ipv4/udp/geneve/ethernet", eth(e4), ip4(pu), udp4(6081), raw(2, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 1, 9, 9, 9, 9), eth(e4))
	nest("gtpu", "ethernet/ipv4/udp/gtpu", eth(e4), ip4(pu), udp4(2152), raw(0x30, 255, 0, 39, 0, 0, 0, 1))
	nest("gtpu with an extension", "ethernet/ipv4/udp/gtpu", eth(e4), ip4(pu), udp4(2152),
		raw(0x34, 255, 0, 47, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0))
	return all
}
