package packet_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

func TestChecksumsOfGopacket(t *testing.T) {
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			var l packet.Layout
			l.Parse(s.bytes, packet.Ethernet)
			for i, h := range l.Headers[:l.N] {
				if l.Checksum(s.bytes, i) == packet.SumInvalid {
					t.Errorf("%s: checksum of header %d (%s) is invalid", names(&l), i, h.Layer)
				}
			}
		})
	}
}

// sums breaks each checksum of a valid packet, which must be noticed, and
// repaired to the same bytes.
func TestChecksumsBrokenAndRepaired(t *testing.T) {
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			var l packet.Layout
			l.Parse(s.bytes, packet.Ethernet)
			broken := slices.Clone(s.bytes)
			for i, h := range l.Headers[:l.N] {
				if l.Checksum(s.bytes, i) != packet.SumValid {
					continue
				}
				at := h.Off + checkAt[h.Layer]
				broken[at] ^= 0x55
				if broken[at] == 0 {
					broken[at] = 1
				}
				if got := l.Checksum(broken, i); got != packet.SumInvalid {
					t.Errorf("%s with a wrong sum is %s", h.Layer, got)
				}
			}
			l.FixChecksums(broken)
			if !bytes.Equal(broken, s.bytes) {
				t.Errorf("repaired to\n%x, want\n%x", broken, s.bytes)
			}
		})
	}
}

var checkAt = map[packet.Layer]int{
	packet.IPv4: 10, packet.TCP: 16, packet.UDP: 6, packet.ICMPv4: 2, packet.ICMPv6: 2, packet.GRE: 4,
}

func TestEveryChecksumIsJudged(t *testing.T) {
	judged := map[packet.Layer]bool{}
	for _, s := range stacks(t) {
		var l packet.Layout
		l.Parse(s.bytes, packet.Ethernet)
		for i, h := range l.Headers[:l.N] {
			if l.Checksum(s.bytes, i) == packet.SumValid {
				judged[h.Layer] = true
			}
		}
	}
	for layer := range checkAt {
		if !judged[layer] {
			t.Errorf("no checksum of %s was found valid", layer)
		}
	}
}

func TestChecksumRules(t *testing.T) {
	udp4 := serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolUDP), udp4(53), payload(11))
	udp6 := serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolUDP), udp6(53), payload(11))
	tcp4 := serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolTCP), tcp4(), payload(11))
	tests := []struct {
		name  string
		base  []byte
		layer packet.Layer
		edit  func(b []byte) []byte
		want  packet.Sum
	}{
		{"untouched", udp4, packet.UDP, func(b []byte) []byte { return b }, packet.SumValid},
		{"udp sum 0 over ipv4", udp4, packet.UDP, func(b []byte) []byte { b[40], b[41] = 0, 0; return b }, packet.SumAbsent},
		{"udp sum 0 over ipv6", udp6, packet.UDP, func(b []byte) []byte { b[60], b[61] = 0, 0; return b }, packet.SumInvalid},
		{"udp length too short", udp4, packet.UDP, func(b []byte) []byte { b[39] = 7; return b }, packet.SumAbsent},
		{"udp length beyond the datagram", udp4, packet.UDP, func(b []byte) []byte { b[39]++; return b }, packet.SumAbsent},
		{"padding behind the datagram", udp4, packet.UDP, func(b []byte) []byte { return append(b, 1, 2, 3) }, packet.SumValid},
		{"truncated", udp4, packet.UDP, func(b []byte) []byte { return b[:len(b)-1] }, packet.SumAbsent},
		{"truncated in the header", tcp4, packet.TCP, func(b []byte) []byte { return b[:40] }, packet.SumAbsent},
		{"first fragment", tcp4, packet.TCP, func(b []byte) []byte { b[20] |= 0x20; return b }, packet.SumAbsent},
		{"do not fragment", tcp4, packet.TCP, func(b []byte) []byte { b[20] |= 0x40; return b }, packet.SumValid},
		{"total length below the header", tcp4, packet.TCP, func(b []byte) []byte { b[17] = 10; return b }, packet.SumAbsent},
		{"address changed", tcp4, packet.TCP, func(b []byte) []byte { b[30]++; return b }, packet.SumInvalid},
		{"ttl changed", tcp4, packet.IPv4, func(b []byte) []byte { b[22]--; return b }, packet.SumInvalid},
		{"ihl 4", tcp4, packet.IPv4, func(b []byte) []byte { b[14] = 0x44; return b }, packet.SumAbsent},
		{"payload has none", tcp4, packet.Payload, func(b []byte) []byte { return b }, packet.SumAbsent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.edit(slices.Clone(tt.base))
			var l packet.Layout
			l.Parse(b, packet.Ethernet)
			i := l.Index(tt.layer, 0)
			if i < 0 {
				t.Fatalf("no %s in %s", tt.layer, names(&l))
			}
			if got := l.Checksum(b, i); got != tt.want {
				t.Errorf("checksum is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUDPSumOfZeroIsStoredAsOnes(t *testing.T) {
	b := serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolUDP), udp6(53), raw(0, 0))
	sum := uint16(b[60])<<8 | uint16(b[61])
	b[62], b[63] = byte(sum>>8), byte(sum) // now all words but the checksum add up to 0xffff
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	l.FixChecksums(b)
	if b[60] != 0xff || b[61] != 0xff {
		t.Errorf("sum stored as %x", b[60:62])
	}
	if got := l.Checksum(b, l.Index(packet.UDP, 0)); got != packet.SumValid {
		t.Errorf("sum is %s", got)
	}
}

func TestFixLengthsRestores(t *testing.T) {
	lengthAt := map[packet.Layer][]int{packet.IPv4: {2, 3}, packet.IPv6: {4, 5}, packet.UDP: {4, 5}, packet.GTPU: {2, 3}}
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			var l packet.Layout
			l.Parse(s.bytes, packet.Ethernet)
			broken := slices.Clone(s.bytes)
			for _, h := range l.Headers[:l.N] {
				for _, at := range lengthAt[h.Layer] {
					broken[h.Off+at] ^= 0xa5
				}
			}
			l.FixLengths(broken)
			if !bytes.Equal(broken, s.bytes) {
				t.Errorf("repaired to\n%x, want\n%x", broken, s.bytes)
			}
		})
	}
}

func TestFinalDestinationOfRoutingHeaders(t *testing.T) {
	seg := func(last byte) []byte { return []byte{0: 0xfd, 15: last} }
	for _, tt := range []struct {
		name string
		kind byte
		want packet.Sum
		segs [][]byte
	}{
		{"srv6 ends with its first entry", 4, packet.SumValid, [][]byte{seg(2), seg(7)}},
		{"type 0 ends with its last entry", 0, packet.SumValid, [][]byte{seg(7), seg(2)}},
		{"srv6 with another last hop", 4, packet.SumInvalid, [][]byte{seg(7), seg(2)}},
		{"unknown type", 9, packet.SumAbsent, [][]byte{seg(2), seg(7)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routing := append([]byte{17, 4, tt.kind, 1, 1, 0, 0, 0}, slices.Concat(tt.segs...)...)
			b := serialize(t, eth(layers.EthernetTypeIPv6), ip6(43), raw(routing...), udp6(53), payload(3))
			b[14+39] = 9 // the next hop, which the sum that was made for fd00::2 does not cover
			var l packet.Layout
			l.Parse(b, packet.Ethernet)
			if got := l.Checksum(b, l.Index(packet.UDP, 0)); got != tt.want {
				t.Errorf("%s: sum is %s, want %s", names(&l), got, tt.want)
			}
		})
	}
}

func TestSumOfNothingButZeros(t *testing.T) {
	b := serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolICMPv4), raw(make([]byte, 12)...))
	for _, old := range []byte{0, 0x12} {
		b[36] = old
		var l packet.Layout
		l.Parse(b, packet.Ethernet)
		l.FixChecksums(b)
		if got := l.Checksum(b, l.Index(packet.ICMPv4, 0)); got != packet.SumValid {
			t.Errorf("sum %x is %s", b[36:38], got)
		}
	}
}
