// Package packet reads and repairs the layers, fields and checksums of raw
// packet bytes, for mutators and oracles alike. Nothing in it allocates, and no
// byte string makes it panic: what is truncated or contradictory is described as
// far as it goes.
package packet

// Layer is a kind of header.
type Layer uint8

// The layers that Parse knows. IPIP in all four combinations is IPv4 or IPv6
// inside another; SRv6 is a Routing header of type 4; QinQ is two VLANs.
const (
	None Layer = iota
	Ethernet
	VLAN // TCI and encapsulated ethertype, as the kernel's struct vlan_hdr
	ARP
	IPv4
	IPv6
	HopByHop
	Routing
	Fragment
	DestOpts
	TCP
	UDP
	ICMPv4
	ICMPv6
	GRE
	VXLAN
	Geneve
	MPLS
	GTPU
	Payload // everything behind the last header, Ethernet padding included
	layerCount
)

var layerNames = [layerCount]string{
	"none", "ethernet", "vlan", "arp", "ipv4", "ipv6", "hopbyhop", "routing", "fragment", "destopts",
	"tcp", "udp", "icmp", "icmpv6", "gre", "vxlan", "geneve", "mpls", "gtpu", "payload",
}

// String returns the layer's name as invariants write it ("ipv4", "icmp").
func (l Layer) String() string {
	if l >= layerCount {
		return "unknown"
	}
	return layerNames[l]
}

// LayerByName is the inverse of String; ok is false for "none" and unknown names.
func LayerByName(name string) (layer Layer, ok bool) {
	for l := Ethernet; l < layerCount; l++ {
		if layerNames[l] == name {
			return l, true
		}
	}
	return None, false
}

// minLen is the length of a header without options or optional parts.
var minLen = [layerCount]uint8{
	Ethernet: 14, VLAN: 4, ARP: 8, IPv4: 20, IPv6: 40,
	HopByHop: 8, Routing: 8, Fragment: 8, DestOpts: 8,
	TCP: 20, UDP: 8, ICMPv4: 8, ICMPv6: 8, GRE: 4, VXLAN: 8, Geneve: 8, MPLS: 4, GTPU: 8,
}

// MinLen returns the length in bytes of the layer's header without options or
// optional parts; 0 for None and Payload.
func (l Layer) MinLen() int {
	if l >= layerCount {
		return 0
	}
	return int(minLen[l])
}

// IsIP reports whether the layer is an IPv4 or IPv6 header.
func (l Layer) IsIP() bool { return l == IPv4 || l == IPv6 }

// IsExtension reports whether the layer is an IPv6 extension header.
func (l Layer) IsExtension() bool { return l >= HopByHop && l <= DestOpts }
