package packet

import "encoding/binary"

var be = binary.BigEndian

// measure returns how long the header at the start of p claims to be, at least
// 1 and possibly longer than p, and what its next-protocol field says follows.
// A header that is cut off below its minimum is all of p.
func measure(layer Layer, p []byte) (size int, next Layer) {
	size = layer.MinLen()
	if len(p) < size || size == 0 {
		return len(p), None
	}
	switch layer {
	case Ethernet:
		return size, byEthertype(be.Uint16(p[12:]))
	case VLAN:
		return size, byEthertype(be.Uint16(p[2:]))
	case ARP:
		return size + 2*(int(p[4])+int(p[5])), Payload
	case IPv4:
		return measureIPv4(p)
	case IPv6:
		return size, byProtocol(p[6], true)
	case HopByHop, DestOpts:
		return 8 + 8*int(p[1]), byProtocol(p[0], true)
	case Routing:
		return 8 + 8*int(p[1]), byProtocol(p[0], true)
	case Fragment:
		if be.Uint16(p[2:])&0xfff8 != 0 {
			return size, Payload
		}
		return size, byProtocol(p[0], true)
	case TCP:
		return max(size, int(p[12]>>4)*4), Payload
	case UDP:
		return size, byPort(be.Uint16(p[2:]))
	case ICMPv4:
		return measureICMPv4(p)
	case ICMPv6:
		return measureICMPv6(p)
	case GRE:
		return measureGRE(p)
	case VXLAN:
		return size, Ethernet
	case Geneve:
		return size + int(p[0]&0x3f)*4, byEthertype(be.Uint16(p[2:]))
	case MPLS:
		return measureMPLS(p)
	case GTPU:
		return measureGTPU(p)
	}
	return len(p), None
}

func measureIPv4(p []byte) (int, Layer) {
	size := max(20, int(p[0]&15)*4)
	if be.Uint16(p[6:])&0x1fff != 0 {
		return size, Payload
	}
	return size, byProtocol(p[9], false)
}

// measureICMPv4 takes the packet that an error quotes for the next layer.
func measureICMPv4(p []byte) (int, Layer) {
	switch p[0] {
	case 3, 4, 5, 11, 12:
		return 8, byVersion(p[8:])
	}
	return 8, Payload
}

func measureICMPv6(p []byte) (int, Layer) {
	switch p[0] {
	case 1, 2, 3, 4:
		return 8, byVersion(p[8:])
	case 135, 136: // neighbour solicitation and advertisement have a target address
		return 24, Payload
	}
	return 8, Payload
}

func measureGRE(p []byte) (int, Layer) {
	size := 4
	for flag := byte(0x80); flag >= 0x10; flag >>= 1 {
		if flag != 0x40 && p[0]&flag != 0 { // checksum, key and sequence; routing has no fixed length
			size += 4
		}
	}
	if p[1]&7 != 0 { // version 1 is PPTP's
		return size, Payload
	}
	return size, byEthertype(be.Uint16(p[2:]))
}

func measureMPLS(p []byte) (int, Layer) {
	if p[2]&1 == 0 {
		return 4, MPLS
	}
	return 4, byVersion(p[4:])
}

// measureGTPU walks the chain of extension headers, whose lengths count 4 bytes.
func measureGTPU(p []byte) (int, Layer) {
	size := 8
	if p[0]&7 != 0 {
		size = 12
		for p[0]&4 != 0 && size <= len(p) && p[size-1] != 0 && size < len(p) && p[size] != 0 {
			size += 4 * int(p[size])
		}
	}
	if p[1] != 255 || size >= len(p) {
		return size, Payload
	}
	return size, byVersion(p[size:])
}
