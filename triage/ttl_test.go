package triage

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// router returns ret and does to the TTL of IPv4 and the hop limit of IPv6 what hop
// says, with another destination address of Ethernet where there is one.
func router(ret uint32, neighbour byte, hop func(ttl byte) byte) program {
	return func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		o, ok := outermost(b)
		if ok {
			*o.ttl = hop(*o.ttl)
		}
		if neighbour != 0 {
			b[5] = neighbour
		}
		return corpus.StepOutcome{Ret: ret, Packet: fixed(b)}
	}
}

func TestTTL(t *testing.T) {
	const drop, pass, tx, redirect = 1, 2, 3, 4
	with := func(b []byte, ttl byte) *corpus.Input {
		in := inputOf(b).Clone()
		o, _ := outermost(in.Steps[0].Packet)
		o.set(ttl)
		return in
	}
	v4, v6 := udpPacket(1), udp6Packet(1)
	down := func(ttl byte) byte { return ttl - 1 }
	always := func(v byte) func(byte) byte { return func(byte) byte { return v } }
	careful := func(ttl byte) byte { return max(ttl, 1) - 1 }
	for _, test := range []struct {
		name, oracle string
		in           *corpus.Input
		prog         program
		want         string // part of the reason; "" for silence
	}{
		{"0 to 255", "ttl", with(v4, 0), router(pass, 0, down), "XDP_PASS: ipv4.ttl is decremented from 0 to 255"},
		{"0 to 255 in IPv6", "ttl", with(v6, 0), router(tx, 0, down), "XDP_TX: ipv6.hop_limit is decremented from 0 to 255"},
		{"0 to 255 and dropped", "ttl", with(v4, 0), router(drop, 0, down), ""},
		{"1 to 0 and sent", "ttl", with(v4, 1), router(redirect, 2, down), "XDP_REDIRECT: ipv4.ttl is decremented to 0 and the packet sent on"},
		{"1 to 0 for the stack to see", "ttl", with(v4, 1), router(pass, 0, careful), ""},
		{"64 to 63, and 1 to 0", "ttl", with(v4, 64), router(redirect, 2, down), "XDP_REDIRECT, with a TTL that is used up: ipv4.ttl is decremented to 0 and the packet sent on"},
		{"64 to 63, and 0 to 255", "ttl", with(v4, 64), router(pass, 2, down), "XDP_PASS, with a TTL that is used up: ipv4.ttl is decremented from 0 to 255"},
		{"64 to 63 with care", "ttl", with(v4, 64), router(pass, 2, careful), ""},
		{"0 stays 0", "ttl", with(v4, 0), router(redirect, 2, careful), ""},
		{"always 255", "ttl", with(v4, 0), router(tx, 0, always(255)), ""},
		{"always 0", "ttl", with(v4, 1), router(tx, 0, always(0)), ""},
		{"no IP", "ttl", inputOf(make([]byte, 60)), router(tx, 0, down), ""},

		{"kept", "ttl-kept", with(v4, 64), router(redirect, 2, always(64)), "XDP_REDIRECT: ipv4.ttl was 64 and is 64 in a packet that is sent to another Ethernet address"},
		{"kept by a bridge", "ttl-kept", with(v4, 64), router(redirect, 0, always(64)), ""},
		{"kept for the stack", "ttl-kept", with(v4, 64), router(pass, 2, always(64)), ""},
		{"decremented", "ttl-kept", with(v6, 64), router(redirect, 2, down), ""},
		{"grown", "ttl-kept", with(v6, 64), router(tx, 2, always(65)), "was 64 and is 65"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := judgeOf(t, xdpShape(), test.oracle).Sampled(t.Context(), rerun(test.prog), test.in)
			if err != nil {
				t.Fatal(err)
			}
			checkFailure(t, f, test.oracle, test.want)
		})
	}
}

// A TTL that is set leaves the checksum as right as it was.
func TestSetTTL(t *testing.T) {
	b := udpPacket(1, 2)
	for ttl := range 256 {
		o, ok := outermost(b)
		if !ok {
			t.Fatal("no header")
		}
		o.set(byte(ttl))
		if sum := b[24:26]; *o.ttl != byte(ttl) || string(fixed(append([]byte(nil), b...))[24:26]) != string(sum) {
			t.Fatalf("%d: checksum %x", ttl, sum)
		}
	}
}
