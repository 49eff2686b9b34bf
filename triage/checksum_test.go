package triage

import (
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// rewrites is a program that returns a verdict after changing the packet.
func rewrites(ret uint32, change func(b []byte) []byte) program {
	return func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		return corpus.StepOutcome{Ret: ret, Packet: change(b)}
	}
}

// encapsulated puts an outer IPv4 header in front of b's, as a tunnel does.
func encapsulated(b []byte) []byte {
	outer := append(b[:14:14], make([]byte, 20)...)
	outer = append(outer, b[14:]...)
	ip := outer[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, 4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(outer)-14))
	copy(ip[12:], []byte{10, 9, 9, 9, 10, 8, 8, 8})
	return fixed(outer)
}

// tagged puts a VLAN tag in front of b's ethertype.
func tagged(b []byte) []byte {
	t := append(b[:12:12], 0x81, 0, 0, 5)
	return append(t, b[12:]...)
}

// icmpError answers b with a port unreachable that quotes its headers.
func icmpError(b []byte) []byte {
	r := make([]byte, 42)
	copy(r, b[:14])
	ip := r[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, 1
	copy(ip[12:], []byte{10, 0, 0, 2, 10, 0, 0, 1})
	r[34], r[35] = 3, 3
	return fixed(append(r, b[14:42]...))
}

// udp6 is an Ethernet, IPv6 and UDP packet with right checksums.
func udp6(payload ...byte) []byte {
	b := make([]byte, 62, 62+len(payload))
	b[0], b[6], b[12], b[13] = 2, 4, 0x86, 0xdd
	b[14], b[20], b[21], b[22+15], b[38+15] = 0x60, 17, 64, 1, 2
	b[55], b[57], b[60] = 9, 53, 1
	return fixed(append(b, payload...))
}

func TestChecksumBroken(t *testing.T) {
	with := func(b []byte, change func(b []byte)) []byte { change(b); return b }
	decrement := func(b []byte) []byte { return with(b, func(b []byte) { b[22]-- }) }
	noSum := with(udpPacket(1, 2), func(b []byte) { b[40], b[41] = 0, 0 })
	wrong := with(udpPacket(1, 2), func(b []byte) { b[24] ^= 0x55; b[40] ^= 0x55 })
	fragment := with(udpPacket(1, 2, 3, 4), func(b []byte) {
		b[20] = 0x20
		binary.BigEndian.PutUint16(b[24:], 0)
		sumIPv4(b)
	})
	vxlan := with(udpPacket(make([]byte, 60)...), func(b []byte) { fixed(b) })
	for _, test := range []struct {
		name   string
		before []byte
		prog   program
		want   string
	}{
		{"untouched", udpPacket(1, 2), returns(3), ""},
		{"ttl without checksum", udpPacket(1, 2), rewrites(3, decrement), "XDP_TX: the ipv4 checksum at offset 14 was valid in the input and is invalid"},
		{"ttl with checksum", udpPacket(1, 2), rewrites(3, func(b []byte) []byte { return fixed(decrement(b)) }), ""},
		{"dropped anyway", udpPacket(1, 2), rewrites(1, decrement), ""},
		{"aborted", udpPacket(1, 2), rewrites(0, decrement), ""},
		{"address without the udp checksum", udpPacket(1, 2), rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) { b[33] = 77; sumIPv4(b) })
		}), "the udp checksum at offset 34 was valid"},
		{"address of udp without a sum", noSum, rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) { b[33] = 77; sumIPv4(b) })
		}), ""},
		{"udp sum cleared", udpPacket(1, 2), rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) { b[40], b[41] = 0, 0 })
		}), ""},
		{"udp sum cleared in ipv6", udp6(1, 2), rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) { b[60], b[61] = 0, 0 })
		}), "the udp checksum at offset 54"},
		{"port in ipv6", udp6(1, 2), rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) { b[55] = 99 })
		}), "the udp checksum at offset 54"},
		{"wrong before", wrong, rewrites(3, decrement), ""},
		{"fragment", fragment, rewrites(2, func(b []byte) []byte { return with(b, func(b []byte) { b[40] ^= 1 }) }), ""},
		{"truncated", udpPacket(make([]byte, 40)...), rewrites(2, func(b []byte) []byte { return b[:50] }), ""},
		{"total length beyond the packet", udpPacket(1, 2), rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) { b[16] = 9; sumIPv4(b); b[40] ^= 1 })
		}), ""},
		{"tunnel", udpPacket(1, 2), rewrites(3, encapsulated), ""},
		{"tunnel with a wrong sum", udpPacket(1, 2), rewrites(3, func(b []byte) []byte {
			return with(encapsulated(b), func(b []byte) { b[24] ^= 1 })
		}), "the ipv4 checksum at offset 14"},
		{"tunnel that spoils what it carries", udpPacket(1, 2), rewrites(3, func(b []byte) []byte {
			return with(encapsulated(b), func(b []byte) { b[22+20]-- })
		}), "the ipv4 checksum at offset 34 was valid"},
		{"tunnel for a wrong packet", wrong, rewrites(3, encapsulated), ""},
		{"tunnel taken away", encapsulated(udpPacket(1, 2)), rewrites(2, func(b []byte) []byte { return append(b[:14:14], b[34:]...) }), ""},
		{"tag added", udpPacket(1, 2), rewrites(2, tagged), ""},
		{"tag added, ttl spoilt", udpPacket(1, 2), rewrites(2, func(b []byte) []byte {
			return with(tagged(b), func(b []byte) { b[26]-- })
		}), "the ipv4 checksum at offset 18 was valid"},
		{"tag taken away, ttl spoilt", tagged(udpPacket(1, 2)), rewrites(2, func(b []byte) []byte {
			return decrement(append(b[:12:12], b[16:]...))
		}), "the ipv4 checksum at offset 14 was valid"},
		{"icmp error", udpPacket(1, 2), rewrites(3, icmpError), ""},
		{"icmp error with a wrong sum", udpPacket(1, 2), rewrites(3, func(b []byte) []byte {
			return with(icmpError(b), func(b []byte) { b[36] ^= 1 })
		}), "the icmp checksum at offset 34 belongs to a header that the program added"},
		{"icmp error that quotes what it likes", udpPacket(1, 2), rewrites(3, func(b []byte) []byte {
			r := icmpError(b)
			r[42+8]--
			return fixedICMP(r)
		}), ""},
		{"port that makes a tunnel of the payload", vxlan, rewrites(2, func(b []byte) []byte {
			return with(b, func(b []byte) {
				binary.BigEndian.PutUint16(b[36:], 4789)
				b[62], b[64] = 8, 0x45
				b[40], b[41] = 0, 0
			})
		}), ""},
		{"not even ethernet", make([]byte, 14), rewrites(2, func(b []byte) []byte { return b[:1] }), ""},
		{"nothing left", udpPacket(1), rewrites(2, func([]byte) []byte { return nil }), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := judgeOf(t, xdpShape(), "checksum-broken").Sampled(t.Context(), rerun(test.prog), inputOf(test.before))
			if err != nil {
				t.Fatal(err)
			}
			checkFailure(t, f, "checksum-broken", test.want)
		})
	}
}

// sumIPv4 makes the checksum of the IPv4 header at offset 14 right, and no other.
func sumIPv4(b []byte) {
	b[24], b[25] = 0, 0
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[24:], ^uint16(sum))
}

// fixedICMP makes the checksum of the ICMP message at offset 34 right, and no other.
func fixedICMP(b []byte) []byte {
	b[36], b[37] = 0, 0
	sum := uint32(0)
	for i := 34; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[36:], ^uint16(sum))
	return b
}

func TestChecksumBehindMetadata(t *testing.T) {
	oracle := newChecksum(xdpShape())
	in := inputOf(udpPacket(1, 2))
	in.Steps[0].Meta = make([]byte, 8)
	spoilt := udpPacket(1, 2)
	spoilt[22]--
	context := func(data byte) []byte { return append([]byte{data}, make([]byte, 23)...) }
	for _, test := range []struct {
		name    string
		packet  []byte
		context []byte
		want    string
	}{
		{"metadata kept", append(make([]byte, 8), udpPacket(1, 2)...), context(8), ""},
		{"metadata kept, no context", append(make([]byte, 8), udpPacket(1, 2)...), nil, ""},
		{"metadata taken away", udpPacket(1, 2), context(0), ""},
		{"metadata grown", append(make([]byte, 16), udpPacket(1, 2)...), context(16), ""},
		{"spoilt behind it", append(make([]byte, 16), spoilt...), context(16), "the ipv4 checksum at offset 14"},
		{"spoilt, no context", append(make([]byte, 8), spoilt...), nil, "the ipv4 checksum at offset 14"},
		{"more than there is", make([]byte, 4), context(200), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &corpus.Outcome{Steps: []corpus.StepOutcome{{Ret: 2, Packet: test.packet, Context: test.context}}}
			var f *Failure
			if err := oracle.Judge(in, out); err != nil {
				f = &Failure{Oracle: oracle.Name, Err: err}
			}
			checkFailure(t, f, oracle.Name, test.want)
		})
	}
}
