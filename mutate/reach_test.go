package mutate

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// TestReaches counts children of one plain packet that are what a program may
// have a path for. Each kind has to come up among some ten thousand executions,
// which take a millisecond.
func TestReaches(t *testing.T) {
	has := func(names ...packet.Layer) func(l *packet.Layout, p []byte) bool {
		return func(l *packet.Layout, _ []byte) bool {
			for _, layer := range names {
				if l.Index(layer, 0) < 0 {
					return false
				}
			}
			return true
		}
	}
	field := func(layer packet.Layer, name string, want uint64) func(l *packet.Layout, p []byte) bool {
		f := packet.FieldByName(layer, name)
		return func(l *packet.Layout, p []byte) bool {
			v, ok := f.Get(l.Bytes(p, l.Index(layer, 0)))
			return ok && v == want
		}
	}
	kinds := map[string]func(l *packet.Layout, p []byte) bool{
		"vlan":              has(packet.VLAN, packet.IPv4),
		"two vlans":         func(l *packet.Layout, _ []byte) bool { return l.Index(packet.VLAN, 1) > 0 },
		"ipv6 by retype":    has(packet.IPv6),
		"vxlan":             has(packet.VXLAN, packet.TCP),
		"geneve":            has(packet.Geneve, packet.TCP),
		"gre":               has(packet.GRE, packet.TCP),
		"gtpu":              has(packet.GTPU),
		"mpls":              has(packet.MPLS),
		"icmp":              has(packet.ICMPv4),
		"arp":               has(packet.ARP),
		"ipv4 in ipv4":      func(l *packet.Layout, _ []byte) bool { return l.Index(packet.IPv4, 1) > 0 },
		"ipv4 options":      func(l *packet.Layout, _ []byte) bool { h, _ := l.Find(packet.IPv4, 0); return h.Len > 20 },
		"tcp options":       func(l *packet.Layout, _ []byte) bool { h, _ := l.Find(packet.TCP, 0); return h.Len > 20 },
		"dictionary port":   field(packet.TCP, "dest", 0x1151),
		"dictionary source": field(packet.IPv4, "saddr", 0x0a090807),
		"last hop":          field(packet.IPv4, "ttl", 1),
		"syn ack":           field(packet.TCP, "flags", 0x12),
		"wrong length under a right checksum": func(l *packet.Layout, p []byte) bool {
			v, ok := packet.FieldByName(packet.IPv4, "tot_len").Get(l.Bytes(p, 1))
			return ok && int(v) != len(p)-14 && l.Checksum(p, 1) == packet.SumValid
		},
		"only headers": func(l *packet.Layout, p []byte) bool { return len(p) == 54 && l.Index(packet.TCP, 0) == 2 },
	}
	shape := testShapes()["xdp"]
	m, dst, src := New(shape, Options{Seed: 1}), slots(shape), onePacket(tcpPacket())
	count := map[string]int{}
	var l packet.Layout
	for range 40000 {
		m.Mutate(dst, src, nil)
		p := dst.Steps[0].Packet
		l.Parse(p, packet.Ethernet)
		for name, is := range kinds {
			if is(&l, p) {
				count[name]++
			}
		}
	}
	for name := range kinds {
		if count[name] < 4 {
			t.Errorf("%s: %d of 40000 children", name, count[name])
		}
	}
}

// TestReachesHandshake counts children of a SYN that open a connection.
func TestReachesHandshake(t *testing.T) {
	shape := testShapes()["tc"]
	m, dst := New(shape, Options{Seed: 1}), slots(shape)
	src := onePacket(tcpPacket())
	found := map[string]*corpus.Input{}
	for range 20000 {
		m.Mutate(dst, src, nil)
		if len(dst.Steps) == 2 && len(dst.Steps[1].Packet) > 47 && len(dst.Steps[0].Packet) > 47 {
			found[flags(dst)] = dst.Clone()
		}
	}
	src = found["S>SA<"]
	if src == nil {
		t.Fatal("no child is a SYN and its answer")
	}
	for range 20000 {
		m.Mutate(dst, src, nil)
		if len(dst.Steps) == 3 && len(dst.Steps[2].Packet) > 47 && flags(dst) == "S>SA<A>" {
			return
		}
	}
	t.Error("no grandchild is a handshake")
}
