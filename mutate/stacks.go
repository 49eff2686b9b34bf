package mutate

import (
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// seedPayload is what seeds carry: short, so that small packets stay cheap, and
// of bytes that differ, so that copies of them can be told apart.
const seedPayload = "payload 0123456789"

// newStack makes a whole packet.
func newStack(name string, layers ...packet.Layer) template {
	t := newTemplate(name, layers...)
	if t.tail != packet.ARP {
		t.bytes = append(t.bytes, seedPayload...)
	}
	fix(t.bytes)
	return t
}

// fix makes lengths and checksums right.
func fix(p []byte) {
	var l packet.Layout
	l.Parse(p, packet.Ethernet)
	l.FixLengths(p)
	l.FixChecksums(p)
}

// allStacks returns packets of every protocol: plain ones, then each of
// encapsulations around some of them, then headers with options and odd types.
func allStacks() []template {
	stacks := plainStacks()
	for _, inner := range plainStacks() {
		for i := range encapsulations {
			if t, ok := encapsulate(inner, &encapsulations[i]); ok {
				stacks = append(stacks, t)
			}
		}
	}
	stacks = append(stacks, optionStacks()...)
	return append(stacks, oddStacks()...)
}

func plainStacks() []template {
	const eth = packet.Ethernet
	return []template{
		newStack("ipv4 tcp", eth, packet.IPv4, packet.TCP),
		newStack("ipv4 udp", eth, packet.IPv4, packet.UDP),
		newStack("ipv4 icmp", eth, packet.IPv4, packet.ICMPv4),
		newStack("ipv6 tcp", eth, packet.IPv6, packet.TCP),
		newStack("ipv6 udp", eth, packet.IPv6, packet.UDP),
		newStack("ipv6 icmpv6", eth, packet.IPv6, packet.ICMPv6),
		newStack("arp", eth, packet.ARP),
	}
}

// encapsulate puts a group of headers in at the outermost place where it can be.
func encapsulate(inner template, e *template) (template, bool) {
	var l packet.Layout
	l.Parse(inner.bytes, packet.Ethernet)
	for i := range l.N - 1 {
		parent, child := l.Headers[i], l.Headers[i+1]
		if !canFollow(parent.Layer, e.head) || !canFollow(e.tail, child.Layer) {
			continue
		}
		p := slices.Insert(slices.Clone(inner.bytes), parent.End(), e.bytes...)
		link(p, parent, e.head)
		packet.SetNext(p[parent.End()+e.tailOff:parent.End()+len(e.bytes)], e.tail, child.Layer)
		fix(p)
		return template{name: e.name + ", " + inner.name, bytes: p}, true
	}
	return template{}, false
}

// optionStacks have each option of optionRules once, alone in its header.
func optionStacks() []template {
	var stacks []template
	for layer, rule := range optionRules {
		if rule == nil {
			continue
		}
		for _, option := range rule.options {
			if t, ok := withOption(packet.Layer(layer), rule, option); ok {
				stacks = append(stacks, t)
			}
		}
	}
	return stacks
}

func withOption(layer packet.Layer, rule *optionRule, option string) (template, bool) {
	for _, t := range optionCarriers() {
		var l packet.Layout
		l.Parse(t.bytes, packet.Ethernet)
		h, ok := l.Find(layer, 0)
		if !ok {
			continue
		}
		n := (len(option) + rule.unit - 1) / rule.unit * rule.unit
		padded := make([]byte, n)
		copy(padded, option)
		p := slices.Insert(slices.Clone(t.bytes), h.End(), padded...)
		rule.grow(p[h.Off:], n)
		fix(p)
		return template{name: layer.String() + " option", bytes: p}, true
	}
	return template{}, false
}

// optionCarriers have, between them, every layer that carries options.
func optionCarriers() []template {
	const eth = packet.Ethernet
	return []template{
		newStack("", eth, packet.IPv4, packet.TCP),
		newStack("", eth, packet.IPv6, packet.HopByHop, packet.UDP),
		newStack("", eth, packet.IPv6, packet.DestOpts, packet.UDP),
		newStack("", eth, packet.IPv6, packet.Routing, packet.TCP),
		newStack("", eth, packet.IPv4, packet.UDP, packet.Geneve, eth, packet.IPv4, packet.TCP),
	}
}

// oddStacks have values in their fields that lead programs elsewhere.
func oddStacks() []template {
	const eth = packet.Ethernet
	edit := func(t template, edit func(p []byte)) template {
		edit(t.bytes)
		fix(t.bytes)
		return t
	}
	quote := func(name string, ip, icmp packet.Layer, kind byte) template {
		t := newStack(name, eth, ip, icmp, ip, packet.UDP)
		return edit(t, func(p []byte) { p[eth.MinLen()+ip.MinLen()] = kind })
	}
	tcp := func(name string, flags byte) template {
		return edit(newStack(name, eth, packet.IPv4, packet.TCP), func(p []byte) { p[34+13] = flags })
	}
	v4 := func(name string, hi, lo byte) template {
		return edit(newStack(name, eth, packet.IPv4, packet.UDP), func(p []byte) { p[20], p[21] = hi, lo })
	}
	v6 := func(name string, hi, lo byte) template {
		return edit(newStack(name, eth, packet.IPv6, packet.Fragment, packet.UDP), func(p []byte) { p[56], p[57] = hi, lo })
	}
	return []template{
		quote("port unreachable", packet.IPv4, packet.ICMPv4, 3),
		quote("time exceeded", packet.IPv4, packet.ICMPv4, 11),
		quote("packet too big", packet.IPv6, packet.ICMPv6, 2),
		tcp("syn ack", syn|ack), tcp("ack", ack), tcp("fin ack", fin|ack), tcp("rst", rst),
		v4("do not fragment", 0x40, 0), v4("first fragment", 0x20, 0), v4("later fragment", 0x20, 4), v4("last fragment", 0, 8),
		v6("first ipv6 fragment", 0, 1), v6("later ipv6 fragment", 0, 0x21),
		edit(newStack("neighbour solicitation", eth, packet.IPv6, packet.ICMPv6), func(p []byte) { p[54] = 135 }),
		edit(newStack("arp reply", eth, packet.ARP), func(p []byte) { p[21] = 2 }),
		edit(newStack("ttl 1", eth, packet.IPv4, packet.UDP), func(p []byte) { p[22] = 1 }),
	}
}
