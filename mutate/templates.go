package mutate

import (
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// basics are the headers that new layers start as: valid ones, between two hosts
// of documentation networks, with the next-protocol field still to be set.
var basics = [packet.Payload]string{
	packet.Ethernet: "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00",
	packet.VLAN:     "\x00\x64\x08\x00",
	packet.ARP: "\x00\x01\x08\x00\x06\x04\x00\x01" +
		"\x02\x00\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x00\x00\x00\x00\x00\xc0\x00\x02\x02",
	packet.IPv4: "\x45\x00\x00\x14\x00\x01\x00\x00\x40\x3b\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02",
	packet.IPv6: "\x60\x00\x00\x00\x00\x00\x3b\x40" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02",
	packet.HopByHop: "\x3b\x00\x05\x02\x00\x00\x01\x00", // router alert, then PadN
	packet.Routing: "\x3b\x02\x04\x00\x00\x00\x00\x00" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02",
	packet.Fragment: "\x3b\x00\x00\x00\x00\x00\x00\x01",
	packet.DestOpts: "\x3b\x00\x01\x04\x00\x00\x00\x00",
	packet.TCP:      "\x13\x88\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x50\x02\x20\x00\x00\x00\x00\x00",
	packet.UDP:      "\x13\x88\x00\x35\x00\x08\x00\x01", // a checksum of 0 would stay "none"
	packet.ICMPv4:   "\x08\x00\x00\x00\x00\x01\x00\x01",
	packet.ICMPv6:   "\x80\x00\x00\x00\x00\x01\x00\x01",
	packet.GRE:      "\x00\x00\x08\x00",
	packet.VXLAN:    "\x08\x00\x00\x00\x00\x00\x64\x00",
	packet.Geneve:   "\x02\x00\x65\x58\x00\x00\x64\x00\x01\x02\x80\x01\x00\x00\x00\x01", // with one option
	packet.MPLS:     "\x00\x01\x01\x40",
	packet.GTPU:     "\x30\xff\x00\x00\x00\x00\x00\x01",
}

// basic returns a header of the layer, "" for Payload.
func basic(layer packet.Layer) string {
	if layer >= packet.Payload {
		return ""
	}
	return basics[layer]
}

// template is a group of headers that can be put between two others.
type template struct {
	name       string
	head, tail packet.Layer
	bytes      []byte
	tailOff    int
}

// newTemplate links the layers' basic headers.
func newTemplate(name string, layers ...packet.Layer) template {
	t := template{name: name, head: layers[0], tail: layers[len(layers)-1]}
	for i, layer := range layers {
		if i > 0 {
			packet.SetNext(t.bytes[t.tailOff:], layers[i-1], layer)
		}
		t.tailOff = len(t.bytes)
		t.bytes = append(t.bytes, basic(layer)...)
	}
	return t
}

// with returns the template under another name, with its last header changed.
func (t template) with(name string, edit func(tail []byte)) template {
	t.name, t.bytes = name, slices.Clone(t.bytes)
	edit(t.bytes[t.tailOff:])
	return t
}

// grow appends bytes that belong to the last header.
func (t template) grow(name string, more string, edit func(tail []byte)) template {
	t.bytes = append(slices.Clone(t.bytes), more...)
	return t.with(name, edit)
}

// encapsulations is what insertLayer inserts. It is read only.
var encapsulations = makeEncapsulations()

func makeEncapsulations() []template {
	const (
		ip4 = packet.IPv4
		ip6 = packet.IPv6
		eth = packet.Ethernet
		udp = packet.UDP
	)
	gre := newTemplate("gre", ip4, packet.GRE)
	gtpu := newTemplate("gtpu", ip4, udp, packet.GTPU)
	return []template{
		newTemplate("vlan", packet.VLAN),
		newTemplate("qinq", packet.VLAN, packet.VLAN),
		newTemplate("mpls", packet.MPLS),
		newTemplate("mpls two deep", packet.MPLS, packet.MPLS),
		newTemplate("ip in ipv4", ip4),
		newTemplate("ip in ipv6", ip6),
		newTemplate("hop by hop", packet.HopByHop),
		newTemplate("destination options", packet.DestOpts),
		newTemplate("routing", packet.Routing),
		newTemplate("fragment", packet.Fragment),
		newTemplate("extension chain", packet.HopByHop, packet.DestOpts, packet.Routing, packet.Fragment),
		newTemplate("srv6", ip6, packet.Routing),
		gre,
		gre.grow("gre with key", "\x00\x00\x00\x64", func(p []byte) { p[0] = 0x20 }),
		gre.grow("gre with checksum, key and sequence", "\x00\x00\x00\x00\x00\x00\x00\x64\x00\x00\x00\x01", func(p []byte) { p[0] = 0xb0 }),
		newTemplate("gre over ipv6", ip6, packet.GRE),
		newTemplate("gre with ethernet", ip4, packet.GRE, eth),
		newTemplate("gre with mpls", ip4, packet.GRE, packet.MPLS),
		newTemplate("vxlan", ip4, udp, packet.VXLAN, eth),
		newTemplate("vxlan over ipv6", ip6, udp, packet.VXLAN, eth),
		newTemplate("geneve", ip4, udp, packet.Geneve, eth),
		newTemplate("geneve with ip", ip4, udp, packet.Geneve),
		gtpu,
		gtpu.grow("gtpu with an extension", "\x00\x00\x00\x85\x01\x00\x09\x00", func(p []byte) { p[0] = 0x34 }),
	}
}
