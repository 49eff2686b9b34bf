package packet

import (
	"math/rand/v2"
	"testing"
)

func TestWrongLength(t *testing.T) {
	ip4 := func(total byte, flags byte, proto byte, rest ...byte) []byte {
		b := append(make([]byte, 12), 8, 0, 0x45, 0, 0, total, 0, 0, flags, 0, 64, proto, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
		return append(b, rest...)
	}
	udp := func(n byte) []byte { return []byte{0, 1, 0, 2, 0, n, 0, 0} }
	ip6 := func(payload, next byte, rest ...byte) []byte {
		b := append(make([]byte, 12), 0x86, 0xdd, 0x60, 0, 0, 0, 0, payload, next, 64)
		return append(append(b, make([]byte, 32)...), rest...)
	}
	for _, test := range []struct {
		name  string
		b     []byte
		field string // of the first wrong length; "" for none
		want  WrongLength
	}{
		{"right", ip4(28, 0, 17, udp(8)...), "", WrongLength{}},
		{"padding", ip4(28, 0, 17, append(udp(8), 0, 0)...), "", WrongLength{}},
		{"total beyond the packet", ip4(29, 0, 17, udp(8)...), "tot_len", WrongLength{"tot_len", 29, 20, 28}},
		{"datagram beyond its carrier", ip4(28, 0, 17, append(udp(9), 0)...), "len", WrongLength{"len", 9, 8, 8}},
		{"datagram below its header", ip4(28, 0, 17, udp(7)...), "len", WrongLength{"len", 7, 8, 8}},
		{"first fragment", ip4(28, 0x20, 17, udp(99)...), "", WrongLength{}},
		{"cut off", ip4(24, 0, 17, 0, 1, 0, 2), "", WrongLength{}},
		{"right in IPv6", ip6(8, 17, udp(8)...), "", WrongLength{}},
		{"jumbogram", ip6(0, 17, udp(8)...), "", WrongLength{}},
		{"payload beyond the packet", ip6(9, 17, udp(8)...), "payload_len", WrongLength{"payload_len", 9, 0, 8}},
		{"fragment in IPv6", ip6(16, 44, append([]byte{17, 0, 0, 1, 0, 0, 0, 0}, udp(99)...)...), "", WrongLength{}},
		{"options of TCP beyond the packet", ip4(40, 0, 6, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0, 0), "doff", WrongLength{"doff", 24, 20, 20}},
	} {
		var l Layout
		l.Parse(test.b, Ethernet)
		got, wrong := WrongLength{}, false
		for i := 0; i < l.N && !wrong; i++ {
			got, wrong = l.WrongLength(test.b, i)
		}
		if wrong != (test.field != "") || wrong && got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.name, got, wrong, test.want)
		}
	}
}

// Lengths that were made right are right, and no bytes make it panic.
func TestFixedLengthsAreRight(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l Layout
	for range 20_000 {
		b := make([]byte, 14+r.IntN(120))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		copy(b[12:], [][]byte{{8, 0, 0x45}, {0x86, 0xdd, 0x60}, {0x81, 0}}[r.IntN(3)])
		if len(b) > 23 {
			b[23], b[20] = []byte{6, 17, 4, 47}[r.IntN(4)], []byte{6, 17, 0, 43}[r.IntN(4)]
		}
		l.Parse(b, Ethernet)
		for i := -1; i <= l.N; i++ {
			l.WrongLength(b, i)
		}
		l.FixLengths(b)
		for i := range l.N {
			w, wrong := l.WrongLength(b, i)
			if whole := l.Headers[i].Len&3 == 0; wrong && whole { // FixLengths leaves the others
				t.Fatalf("header %d of %x: %+v", i, b, w)
			}
		}
	}
}
