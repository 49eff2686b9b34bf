package triage

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestLengths(t *testing.T) {
	put := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint16(b[at:], v); return b }
	}
	v4, v6 := udpPacket(1, 2, 3), udp6Packet(1, 2, 3)
	short := put(16, 60)(udpPacket(1, 2, 3))
	for _, test := range []struct {
		name   string
		before []byte
		change func(b []byte) []byte
		ret    uint32
		want   string // "" means no objection
	}{
		{"nothing", v4, func(b []byte) []byte { return b }, 2, ""},
		{"a payload byte", v4, func(b []byte) []byte { b[44]++; return b }, 2, ""},
		{"total length one too many", v4, put(16, 32), 2, "ipv4.tot_len at offset 14 says 32 bytes in the output, where there are 31, and was valid in the input"},
		{"total length below the header", v4, put(16, 19), 2, "ipv4.tot_len at offset 14 says 19 bytes in the output, fewer than the 20 of the header"},
		{"dropped", v4, put(16, 32), 1, ""},
		{"wrong in the input", short, put(16, 61), 2, ""},
		{"a tunnel around what says that it is empty", put(16, 0)(udpPacket(1, 2, 3)), func(b []byte) []byte {
			outer := append(bytes.Clone(b[:34]), b[14:]...)
			outer[23] = 4
			return put(16, 20)(outer)
		}, 2, ""},
		{"UDP length beyond the datagram", v4, put(38, 12), 2, "udp.len at offset 34 says 12 bytes in the output, where there are 11"},
		{"UDP length of the header alone", v4, put(38, 8), 2, ""},
		{"UDP length of a first fragment", v4, func(b []byte) []byte { b[20] = 0x20; return put(38, 99)(b) }, 2, ""},
		{"no options but a header length", v4, func(b []byte) []byte { b[14] = 0x44; return b }, 2, "ipv4.ihl at offset 14 says 16 bytes in the output, fewer than the 20 of the header"},
		{"a tail cut off", v4, func(b []byte) []byte { return b[:len(b)-2] }, 2, "ipv4.tot_len at offset 14 says 31 bytes in the output, where there are 29"},
		{"a tail grown", v4, func(b []byte) []byte { return append(b, 0, 0) }, 2, ""},
		{"a tag pushed", v4, func(b []byte) []byte {
			return append(append(bytes.Clone(b[:12]), 0x81, 0, 0, 5), b[12:]...)
		}, 2, ""},
		{"a tunnel that ends before what it carries", v4, func(b []byte) []byte {
			outer := append(bytes.Clone(b[:34]), b[14:]...)
			outer[23] = 4
			return put(16, uint16(len(b)-14))(outer)
		}, 2, "ipv4.ihl at offset 34 says 20 bytes in the output, where there are 11"},
		{"a tunnel longer than the packet", v4, func(b []byte) []byte {
			outer := append(bytes.Clone(b[:34]), b[14:]...)
			outer[23] = 4
			return put(16, uint16(len(outer)))(outer)
		}, 2, "belongs to a header that the program added"},
		{"payload length of IPv6", v6, put(18, 12), 2, "ipv6.payload_len at offset 14 says 12 bytes in the output, where there are 11"},
		{"a port that makes another header of the payload", v4, put(36, 4789), 2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			after := test.change(bytes.Clone(test.before))
			out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{{Ret: test.ret, Packet: after}}}
			f := judgeOf(t, xdpShape(), "lengths-broken").Every(inputOf(test.before), out)
			switch {
			case test.want == "" && f != nil:
				t.Errorf("false alarm: %v", f)
			case test.want != "" && (f == nil || !strings.Contains(f.Error(), test.want)):
				t.Errorf("got %v, want %q", f, test.want)
			}
		})
	}
}

// udp6Packet is an Ethernet, IPv6 and UDP packet whose lengths and checksums are right.
func udp6Packet(payload ...byte) []byte {
	b := make([]byte, 62, 62+len(payload))
	b[0], b[6], b[12], b[13] = 2, 4, 0x86, 0xdd
	b[14], b[20], b[21], b[37], b[53] = 0x60, 17, 64, 1, 2
	binary.BigEndian.PutUint16(b[54:], 1234)
	binary.BigEndian.PutUint16(b[56:], 53)
	b[60] = 1
	return fixed(append(b, payload...))
}
