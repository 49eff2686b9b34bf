package triage_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
	"github.com/bpffuzz/bpffuzz/triage"
)

// A clean program returns what it makes of b, which it may change. All of them
// keep checksums right, each update written from its RFC, none with the code
// that the oracle has.
type clean func(b []byte, r *rand.Rand) []byte

// replace updates a checksum for bytes that were old, as RFC 1624 says.
func replace(sum, old, now []byte) {
	s := uint32(^binary.BigEndian.Uint16(sum))
	for i := 0; i+1 < len(old); i += 2 {
		s += uint32(^binary.BigEndian.Uint16(old[i:])) + uint32(binary.BigEndian.Uint16(now[i:]))
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	binary.BigEndian.PutUint16(sum, ^uint16(s))
}

// ipv4At finds an IPv4 header behind at most one tag.
func ipv4At(b []byte) (ip, transport int, ok bool) {
	ip = 14
	ethertype := binary.BigEndian.Uint16(b[12:])
	if ethertype == 0x8100 && len(b) >= 18 {
		ip, ethertype = 18, binary.BigEndian.Uint16(b[16:])
	}
	if ethertype != 0x0800 || len(b) < ip+20 || b[ip]>>4 != 4 || b[ip]&15 < 5 {
		return 0, 0, false
	}
	transport = ip + int(b[ip]&15)*4
	return ip, transport, len(b) >= transport
}

// transportSum returns the place of the checksum of TCP or UDP at the start of a
// datagram; ok is false where there is none to update.
func transportSum(b []byte, ip, transport int) (at int, ok bool) {
	if binary.BigEndian.Uint16(b[ip+6:])&0x1fff != 0 {
		return 0, false
	}
	switch b[ip+9] {
	case 6:
		return transport + 16, len(b) >= transport+20
	case 17:
		at = transport + 6
		return at, len(b) >= transport+8 && (b[at] != 0 || b[at+1] != 0)
	}
	return 0, false
}

// updateTransport is replace for TCP and UDP, whose sum is never sent as 0.
func updateTransport(b []byte, ip, transport int, old, now []byte) {
	at, ok := transportSum(b, ip, transport)
	if !ok {
		return
	}
	replace(b[at:], old, now)
	if b[ip+9] == 17 && b[at] == 0 && b[at+1] == 0 {
		b[at], b[at+1] = 0xff, 0xff
	}
}

func forward(b []byte, _ *rand.Rand) []byte {
	if ip, _, ok := ipv4At(b); ok && b[ip+8] > 1 {
		old := bytes.Clone(b[ip+8 : ip+10])
		b[ip+8]--
		replace(b[ip+10:], old, b[ip+8:ip+10])
	}
	return b
}

func translateAddress(b []byte, r *rand.Rand) []byte {
	ip, transport, ok := ipv4At(b)
	if !ok {
		return b
	}
	old := bytes.Clone(b[ip+16 : ip+20])
	binary.BigEndian.PutUint32(b[ip+16:], r.Uint32())
	replace(b[ip+10:], old, b[ip+16:ip+20])
	updateTransport(b, ip, transport, old, b[ip+16:ip+20])
	return b
}

// translatePort chooses ports of tunnels, too, so that other headers seem to follow.
func translatePort(b []byte, r *rand.Rand) []byte {
	ip, transport, ok := ipv4At(b)
	if _, has := transportSum(b, ip, transport); !ok || !has {
		return b
	}
	old := bytes.Clone(b[transport+2 : transport+4])
	ports := []uint16{4789, 6081, 2152, 53, 80, uint16(r.Uint32())}
	binary.BigEndian.PutUint16(b[transport+2:], ports[r.IntN(len(ports))])
	updateTransport(b, ip, transport, old, b[transport+2:transport+4])
	return b
}

// outer makes Ethernet and IPv4 headers for so many bytes behind them.
func outer(macs []byte, proto byte, n int) []byte {
	b := append(bytes.Clone(macs[:12]), 0x08, 0x00)
	b = append(b, 0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0xff, 0xff, 10, 0, 0, 1, 10, 0, 0, 2)
	binary.BigEndian.PutUint16(b[16:], uint16(20+n))
	replace(b[24:], []byte{0, 0}, b[14:16])
	for at := 16; at < 34; at += 2 {
		if at != 24 {
			replace(b[24:], []byte{0, 0}, b[at:at+2])
		}
	}
	return b
}

func encapsulateIPIP(b []byte, _ *rand.Rand) []byte {
	if _, _, ok := ipv4At(b); !ok || b[12] != 0x08 {
		return b
	}
	return append(outer(b, 4, len(b)-14), b[14:]...)
}

func encapsulateGRE(b []byte, _ *rand.Rand) []byte {
	return append(append(outer(b, 47, len(b)-10), 0, 0, b[12], b[13]), b[14:]...)
}

func encapsulateVXLAN(b []byte, _ *rand.Rand) []byte {
	o := append(outer(b, 17, len(b)+16), 0x10, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0)
	binary.BigEndian.PutUint16(o[38:], uint16(len(b)+16))
	return append(o, b...)
}

// decapsulate leaves fragments alone, of which all but the first carry no header.
func decapsulate(b []byte, _ *rand.Rand) []byte {
	ip, transport, ok := ipv4At(b)
	if !ok || b[ip+9] != 4 || binary.BigEndian.Uint16(b[ip+6:])&0x3fff != 0 {
		return b
	}
	return append(b[:ip:ip], b[transport:]...)
}

func pushTag(b []byte, r *rand.Rand) []byte {
	return append(append(bytes.Clone(b[:12]), 0x81, 0, byte(r.Uint32()), byte(r.Uint32())), b[12:]...)
}

func popTag(b []byte, _ *rand.Rand) []byte {
	if len(b) < 18 || b[12] != 0x81 || b[13] != 0 {
		return b
	}
	return append(b[:12:12], b[16:]...)
}

// pushLabel does not look at what it labels.
func pushLabel(b []byte, _ *rand.Rand) []byte {
	return append(append(bytes.Clone(b[:12]), 0x88, 0x47, 0, 1, 1, 64), b[14:]...)
}

func cutTail(b []byte, r *rand.Rand) []byte  { return b[:14+r.IntN(len(b)-13)] }
func growTail(b []byte, r *rand.Rand) []byte { return append(b, make([]byte, 1+r.IntN(64))...) }

func answerEcho(b []byte, _ *rand.Rand) []byte {
	ip, transport, ok := ipv4At(b)
	if ok && b[ip+9] == 1 && len(b) >= transport+8 && b[transport] == 8 {
		b[transport] = 0
		replace(b[transport+2:], []byte{8, 0}, []byte{0, 0})
	}
	return b
}

// nextSegment does what an SRv6 endpoint does.
func nextSegment(b []byte, _ *rand.Rand) []byte {
	if len(b) < 62 || b[12] != 0x86 || b[13] != 0xdd || b[20] != 43 {
		return b
	}
	routing := b[54:]
	left := int(routing[3])
	if routing[2] != 4 || left == 0 || left > int(routing[1])/2 || len(routing) < 8+int(routing[1])*8 {
		return b
	}
	routing[3]--
	copy(b[38:54], routing[8+16*(left-1):8+16*left])
	return b
}

// both runs one program on what another made.
func both(first, second clean) clean {
	return func(b []byte, r *rand.Rand) []byte { return second(first(b, r), r) }
}

func cleanPrograms() map[string]clean {
	return map[string]clean{
		"forward": forward, "translate address": translateAddress, "translate port": translatePort,
		"encapsulate in IP": encapsulateIPIP, "encapsulate in GRE": encapsulateGRE, "encapsulate in VXLAN": encapsulateVXLAN,
		"decapsulate": decapsulate, "push tag": pushTag, "pop tag": popTag, "push label": pushLabel,
		"cut tail": cutTail, "grow tail": growTail, "answer echo": answerEcho, "next segment": nextSegment,
		"balance":                    both(translateAddress, encapsulateIPIP),
		"translate port, grow tail":  both(translatePort, growTail),
		"pop tag, forward":           both(popTag, forward),
		"translate address, tag":     both(translateAddress, pushTag),
		"cut tail, forward":          both(cutTail, forward),
		"decapsulate, forward":       both(decapsulate, forward),
		"translate address, cut":     both(translateAddress, cutTail),
		"forward, encapsulate twice": both(forward, both(encapsulateIPIP, encapsulateVXLAN)),
	}
}

// frames are packets of many stacks, with checksums that are still to be made right.
func frames() [][]byte {
	text := []byte("0123456789abcdef")
	header := func(b []byte, rest ...[]byte) []byte { return append(b, bytes.Join(rest, nil)...) }
	ether := func(high, low byte, rest ...[]byte) []byte {
		return header([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, high, low}, rest...)
	}
	ip4 := func(proto byte, rest ...[]byte) []byte {
		return header([]byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, rest...)
	}
	ip6 := func(next byte, rest ...[]byte) []byte {
		b := make([]byte, 40)
		b[0], b[6], b[7], b[23], b[39] = 0x60, next, 64, 1, 2
		return header(b, rest...)
	}
	udp := func(port uint16, rest ...[]byte) []byte {
		return header([]byte{0x10, 0, byte(port >> 8), byte(port), 0, 0, 1, 1}, rest...)
	}
	tcp := header([]byte{0, 80, 0, 90, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0}, text)
	echo := header([]byte{8, 0, 0, 0, 0, 1, 0, 2}, text)
	segments := make([]byte, 8+3*16)
	copy(segments, []byte{17, 6, 4, 2, 2})
	for i := range 3 {
		segments[8+16*i], segments[23+16*i] = 0xfd, byte(i+7)
	}
	vxlan := []byte{8, 0, 0, 0, 0, 0, 1, 0}
	return [][]byte{
		ether(8, 0, ip4(17, udp(53, text))), ether(8, 0, ip4(6, tcp)), ether(8, 0, ip4(1, echo)),
		ether(0x86, 0xdd, ip6(17, udp(53, text))), ether(0x86, 0xdd, ip6(6, tcp)), ether(0x86, 0xdd, ip6(43, segments, udp(53, text))),
		ether(0x81, 0, []byte{0, 5, 8, 0}, ip4(17, udp(53, text))), ether(8, 0, ip4(4, ip4(17, udp(53, text)))),
		ether(8, 0, ip4(17, udp(4789, vxlan, ether(8, 0, ip4(6, tcp))))),
		ether(8, 0, ip4(1, []byte{3, 4, 0, 0, 0, 0, 5, 0}, ip4(17, udp(53, text)))),
		ether(8, 6, make([]byte, 28)), ether(0x12, 0x34, ip4(17, udp(53, text))),
	}
}

// someFrame is one of them, mostly spoilt in a few bytes or cut, often with
// lengths and checksums made right.
func someFrame(r *rand.Rand, from [][]byte) []byte {
	b := bytes.Clone(from[r.IntN(len(from))])
	repair := func() {
		var l packet.Layout
		l.Parse(b, packet.Ethernet)
		if r.IntN(3) > 0 {
			l.FixLengths(b)
		}
		l.FixChecksums(b)
	}
	repair()
	for range r.IntN(4) {
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	if r.IntN(3) == 0 {
		b = b[:14+r.IntN(len(b)-13)]
	}
	if r.IntN(2) == 0 {
		repair()
	}
	if r.IntN(10) == 0 {
		b = append(b, make([]byte, r.IntN(20))...)
	}
	return b
}

func TestCleanProgramsAreNoFailures(t *testing.T) {
	const runs = 10_000
	shape := &corpus.Shape{
		Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 3520}, Closed: true,
		Verdicts: []corpus.Verdict{{Value: 2, Name: "XDP_PASS"}},
	}
	for name, program := range cleanPrograms() {
		t.Run(name, func(t *testing.T) {
			cuts := strings.Contains(name, "cut") // and leaves the lengths as they are
			oracles, _, err := triage.Oracles(shape, triage.OracleOptions{Enable: map[string]bool{"lengths-broken": !cuts}})
			if err != nil {
				t.Fatal(err)
			}
			judge := triage.NewJudge(oracles, nil)
			r := rand.New(rand.NewPCG(1, 2))
			from, changed := frames(), 0
			for range runs {
				before := someFrame(r, from)
				after := program(bytes.Clone(before), r)
				if !bytes.Equal(before, after) {
					changed++
				}
				in := &corpus.Input{Steps: []corpus.Step{{Packet: before}}}
				out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{{Ret: 2, Packet: after}}}
				if f := judge.Every(in, out); f != nil {
					t.Fatalf("false alarm: %v\nbefore %x\nafter  %x", f, before, after)
				}
			}
			if changed < runs/50 {
				t.Errorf("the program changed %d of %d packets only: the test shows nothing", changed, runs)
			}
		})
	}
}
