package packet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// names returns the layout as "ethernet/ipv4/udp".
func names(l *packet.Layout) string {
	var parts []string
	for _, h := range l.Headers[:l.N] {
		parts = append(parts, h.Layer.String())
	}
	return strings.Join(parts, "/")
}

func TestParse(t *testing.T) {
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			var l packet.Layout
			l.Parse(s.bytes, packet.Ethernet)
			if got := names(&l); got != s.want {
				t.Errorf("parsed as %s, want %s", got, s.want)
			}
			checkCover(t, &l, s.bytes)
		})
	}
}

// checkCover fails unless the headers are adjacent and together all of b.
func checkCover(t *testing.T, l *packet.Layout, b []byte) {
	t.Helper()
	at := 0
	for i, h := range l.Headers[:l.N] {
		if h.Off != at || h.Len <= 0 || h.End() > len(b) || h.Layer == packet.None {
			t.Fatalf("header %d of %d is %+v after offset %d of %d", i, l.N, h, at, len(b))
		}
		at = h.End()
	}
	if at != len(b) {
		t.Fatalf("headers cover %d bytes of %d", at, len(b))
	}
}

func TestParseFromIP(t *testing.T) {
	b := serialize(t, ip4(layers.IPProtocolUDP), udp4(53), payload(5))
	var l packet.Layout
	l.Parse(b, packet.IPv4)
	if got := names(&l); got != "ipv4/udp/payload" {
		t.Errorf("parsed as %s", got)
	}
}

func TestParseOddHeaders(t *testing.T) {
	eth := func(hi, lo byte, rest ...byte) []byte {
		return append([]byte{12: hi, 13: lo}, rest...)
	}
	ipv4 := func(first, proto byte, frag byte) []byte {
		return eth(8, 0, slices.Concat([]byte{first, 0, 0, 40, 0, 0, 0, frag, 64, proto}, make([]byte, 30))...)
	}
	tests := []struct {
		name, want string
		bytes      []byte
		last       int // length of the last header
	}{
		{"empty", "", nil, 0},
		{"cut in ethernet", "ethernet", make([]byte, 13), 13},
		{"only ethernet", "ethernet", eth(8, 0), 14},
		{"802.3 length", "ethernet/payload", eth(0, 4, 1, 2, 3, 4), 4},
		{"cut in ipv4", "ethernet/ipv4", eth(8, 0, 0x45, 0, 0), 3},
		{"ihl below its minimum", "ethernet/ipv4/tcp", ipv4(0x41, 6, 0), 20},
		{"ihl beyond the packet", "ethernet/ipv4", ipv4(0x4f, 6, 0), 40},
		{"later fragment", "ethernet/ipv4/payload", ipv4(0x45, 6, 1), 20},
		{"extension header number in ipv4", "ethernet/ipv4/payload", ipv4(0x45, 43, 0), 20},
		{"arp with long addresses", "ethernet/arp", eth(8, 6, 0, 1, 8, 0, 255, 255, 0, 1, 9, 9), 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l packet.Layout
			l.Parse(tt.bytes, packet.None)
			if got := names(&l); got != tt.want {
				t.Fatalf("parsed as %q, want %q", got, tt.want)
			}
			checkCover(t, &l, tt.bytes)
			if l.N > 0 && l.Headers[l.N-1].Len != tt.last {
				t.Errorf("last header is %d bytes, want %d", l.Headers[l.N-1].Len, tt.last)
			}
		})
	}
}

func TestParseTooManyHeaders(t *testing.T) {
	b := []byte{12: 0x81, 13: 0}
	for range 2 * packet.MaxHeaders {
		b = append(b, 0, 1, 0x81, 0)
	}
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	if l.N != packet.MaxHeaders || l.Headers[l.N-1].Layer != packet.Payload {
		t.Errorf("%d headers, the last %s", l.N, l.Headers[l.N-1].Layer)
	}
	checkCover(t, &l, b)
}

func TestFind(t *testing.T) {
	b := serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolIPv4), ip4(layers.IPProtocolUDP), udp4(53), payload(5))
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	if h, ok := l.Find(packet.IPv4, 1); !ok || h.Off != 34 {
		t.Errorf("second ipv4 header: %+v, %v", h, ok)
	}
	if _, ok := l.Find(packet.IPv4, 2); ok {
		t.Error("found a third ipv4 header")
	}
	if got := l.Bytes(b, l.N); got != nil {
		t.Errorf("bytes of no header: %x", got)
	}
	if got := l.Bytes(b[:20], 1); got != nil {
		t.Errorf("bytes of a header behind the end: %x", got)
	}
}

func TestLayerByName(t *testing.T) {
	for l := packet.Ethernet; l <= packet.Payload; l++ {
		if got, ok := packet.LayerByName(l.String()); !ok || got != l {
			t.Errorf("LayerByName(%q) = %v, %v", l.String(), got, ok)
		}
	}
	for _, name := range []string{"", "none", "unknown", "ipx"} {
		if _, ok := packet.LayerByName(name); ok {
			t.Errorf("LayerByName(%q) found a layer", name)
		}
	}
}

func TestSetNextAgreesWithParse(t *testing.T) {
	for parent := packet.Ethernet; parent < packet.Payload; parent++ {
		for child := packet.Ethernet; child <= packet.Payload; child++ {
			v, ok := packet.Selector(parent, child)
			if !ok {
				continue
			}
			b := make([]byte, 128)
			if parent == packet.IPv4 {
				b[0] = 0x45
			}
			if !packet.SetNext(b, parent, child) {
				t.Errorf("%s cannot be followed by %s, selector %#x", parent, child, v)
			}
			var l packet.Layout
			l.Parse(b, parent)
			if l.N < 2 || l.Headers[1].Layer != child {
				t.Errorf("%s followed by %s is parsed as %s", parent, child, names(&l))
			}
			if packet.SetNext(b[:1], parent, child) && !parent.IsExtension() {
				t.Errorf("%s of one byte was written", parent)
			}
		}
	}
}

func TestSurvives(t *testing.T) {
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			var l packet.Layout
			l.Parse(s.bytes, packet.Ethernet)
			kept := 0
			for at := range s.bytes {
				for n := 1; n <= min(8, len(s.bytes)-at); n++ {
					if !l.Survives(at, n) {
						continue
					}
					kept++
					for _, fill := range []byte{0, 0x45, 0x60, 0xff} {
						b := slices.Clone(s.bytes)
						for i := range n {
							b[at+i] = fill
						}
						again := l
						again.Parse(b, packet.Ethernet)
						if again != l {
							t.Fatalf("%s became %s by %d bytes of %#x at %d", names(&l), names(&again), n, fill, at)
						}
					}
				}
			}
			if kept == 0 {
				t.Error("survives nothing")
			}
		})
	}
}

func TestFragileAgreesWithSurvives(t *testing.T) {
	for _, s := range stacks(t) {
		for cut := 1; cut <= len(s.bytes); cut++ {
			var l packet.Layout
			l.Parse(s.bytes[:cut], packet.Ethernet)
			fragile := l.Fragile()
			for at := range min(cut, 128) {
				if !l.Survives(at, 1) && fragile[at>>6]>>(at&63)&1 == 0 {
					t.Fatalf("%s cut to %d: byte %d is fragile", names(&l), cut, at)
				}
			}
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	all := stacks(t)
	var l packet.Layout
	if n := testing.AllocsPerRun(10, func() {
		for i := range all {
			l.Parse(all[i].bytes, packet.Ethernet)
			l.FixLengths(all[i].bytes)
			l.FixChecksums(all[i].bytes)
			for k := range l.N {
				l.Checksum(all[i].bytes, k)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range stacks(f) {
		f.Add(s.bytes, byte(packet.Ethernet))
	}
	f.Add([]byte{0x45}, byte(200))
	f.Fuzz(func(t *testing.T, b []byte, first byte) {
		var l packet.Layout
		l.Parse(b, packet.Layer(first))
		checkCover(t, &l, b)
		for i := range l.N {
			l.Checksum(b, i)
			fields := packet.Fields(l.Headers[i].Layer)
			for k := range fields {
				if v, ok := fields[k].Get(l.Bytes(b, i)); ok {
					fields[k].Set(l.Bytes(b, i), v)
				}
			}
		}
		fragile := l.Fragile()
		for at := range min(len(b), 128) {
			if !l.Survives(at, 1) && fragile[at>>6]>>(at&63)&1 == 0 {
				t.Errorf("%s: byte %d is fragile", names(&l), at)
			}
		}
		l.FixLengths(b)
		again := l
		again.Parse(b, packet.Layer(first))
		if again != l && first < byte(packet.Payload) && first > 0 {
			t.Errorf("fixing lengths changed %s to %s", names(&l), names(&again))
		}
		l.FixChecksums(b)
		for i := range l.N {
			if l.Checksum(b, i) == packet.SumInvalid && l.Headers[i].Layer != packet.UDP {
				t.Errorf("%s: checksum of header %d (%s) is still invalid", names(&l), i, l.Headers[i].Layer)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := serialize(b, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolTCP), tcp4(), payload(10))
	var l packet.Layout
	for b.Loop() {
		l.Parse(p, packet.Ethernet)
	}
}

func BenchmarkFix(b *testing.B) {
	p := serialize(b, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolTCP), tcp4(), payload(10))
	var l packet.Layout
	l.Parse(p, packet.Ethernet)
	for b.Loop() {
		l.FixLengths(p)
		l.FixChecksums(p)
	}
}
