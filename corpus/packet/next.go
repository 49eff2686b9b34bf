package packet

func byEthertype(t uint16) Layer {
	switch t {
	case 0x0800:
		return IPv4
	case 0x86dd:
		return IPv6
	case 0x8100, 0x88a8, 0x9100:
		return VLAN
	case 0x0806:
		return ARP
	case 0x8847, 0x8848:
		return MPLS
	case 0x6558: // transparent Ethernet bridging, in GRE and GENEVE
		return Ethernet
	}
	return Payload
}

// byProtocol reads an IP protocol number; extension headers exist in IPv6 only.
func byProtocol(proto byte, v6 bool) Layer {
	if v6 {
		return after6[proto]
	}
	return after4[proto]
}

// after4 and after6 answer for all protocol numbers at once, since no predictor
// guesses a switch over what a fuzzer writes there. They are read only.
var after4, after6 = makeAfter()

func makeAfter() (v4, v6 [256]Layer) {
	for proto := range v4 {
		v4[proto], v6[proto] = Payload, Payload
	}
	for layer, proto := range protocols {
		switch layer := Layer(layer); {
		case proto == 0:
		case layer == ICMPv4:
			v4[proto] = layer
		case layer == ICMPv6 || layer.IsExtension():
			v6[proto] = layer
		default:
			v4[proto], v6[proto] = layer, layer
		}
	}
	v6[0] = HopByHop
	return v4, v6
}

func byPort(dport uint16) Layer {
	switch dport {
	case 4789, 8472: // assigned, and the default of the Linux driver
		return VXLAN
	case 6081:
		return Geneve
	case 2152:
		return GTPU
	}
	return Payload
}

// byVersion tells IP headers by their first four bits, where nothing else does.
func byVersion(p []byte) Layer {
	if len(p) == 0 {
		return Payload
	}
	switch p[0] >> 4 {
	case 4:
		return IPv4
	case 6:
		return IPv6
	}
	return Payload
}

var ethertypes = [layerCount]uint16{
	VLAN: 0x8100, ARP: 0x0806, IPv4: 0x0800, IPv6: 0x86dd, MPLS: 0x8847, Ethernet: 0x6558,
}

// protocols has 0 for what no protocol number selects; HopByHop, which is 0, is
// handled by its caller.
var protocols = [layerCount]uint8{
	Ethernet: 143, IPv4: 4, IPv6: 41, Routing: 43, Fragment: 44, DestOpts: 60,
	TCP: 6, UDP: 17, ICMPv4: 1, ICMPv6: 58, GRE: 47, MPLS: 137,
}

var ports = [layerCount]uint16{VXLAN: 4789, Geneve: 6081, GTPU: 2152}

// Selector returns the value of the parent's next-protocol field (ethertype,
// protocol number or destination port) that says that child follows. ok is
// false where parent has no field that can say so; MPLS, VXLAN and GTPU have none.
func Selector(parent, child Layer) (value uint64, ok bool) {
	if parent >= layerCount || child >= layerCount {
		return 0, false
	}
	switch parent {
	case Ethernet, VLAN:
		value = uint64(ethertypes[child])
		return value, value != 0 && child != Ethernet
	case GRE, Geneve:
		value = uint64(ethertypes[child])
		return value, value != 0
	case IPv4:
		value = uint64(protocols[child])
		return value, value != 0 && !child.IsExtension() && child != ICMPv6
	case IPv6, HopByHop, Routing, Fragment, DestOpts:
		value = uint64(protocols[child])
		return value, (value != 0 || child == HopByHop) && child != ICMPv4
	case UDP:
		value = uint64(ports[child])
		return value, value != 0
	}
	return 0, false
}

// SetNext makes the header say that child follows, and reports whether it can:
// false leaves it as it is. MPLS writes its bottom-of-stack bit. VXLAN, GTPU and
// ICMP say it by what they are, so they are never written.
func SetNext(header []byte, parent, child Layer) bool {
	switch parent {
	case MPLS:
		if len(header) < 4 {
			return false
		}
		header[2] |= 1
		if child == MPLS {
			header[2] &^= 1
		}
		return child == MPLS || child.IsIP() || child == Payload
	case VXLAN:
		return child == Ethernet
	case GTPU:
		return child.IsIP()
	}
	v, ok := Selector(parent, child)
	if !ok {
		return false
	}
	at, size := nextField(parent)
	if len(header) < at+size {
		return false
	}
	if size == 1 {
		header[at] = byte(v)
	} else {
		be.PutUint16(header[at:], uint16(v))
	}
	return true
}

// nextField returns offset and size in bytes of the field that Selector's value
// goes into.
func nextField(parent Layer) (at, size int) {
	switch parent {
	case Ethernet:
		return 12, 2
	case IPv4:
		return 9, 1
	case IPv6:
		return 6, 1
	case HopByHop, Routing, Fragment, DestOpts:
		return 0, 1
	}
	return 2, 2 // VLAN, GRE, Geneve, UDP
}
