package triage

import (
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestPadding(t *testing.T) {
	passes := func(b []byte) corpus.StepOutcome { return corpus.StepOutcome{Ret: 2, Packet: b} }
	sum := func(b []byte) (n uint32) {
		for i := 14; i+1 < len(b); i += 2 {
			n += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		return n%0xffff&1 + 1
	}
	padding := append(udpPacket(1, 2, 3), 7, 7, 7)
	cut := udpPacket(1, 2, 3)[:40]
	for _, test := range []struct {
		name string
		in   []byte
		prog func(b []byte) corpus.StepOutcome
		want string // part of the reason; "" for silence
	}{
		{"passes", udpPacket(1, 2, 3), passes, ""},
		{"looks at the last byte", udpPacket(1, 2, 3), func(b []byte) corpus.StepOutcome {
			return corpus.StepOutcome{Ret: 1 + uint32(b[len(b)-1]>>7), Packet: b}
		}, "step 0, first with zeros behind the IP packet, then with others: returned XDP_DROP, then XDP_PASS"},
		{"looks at the last byte of padding", padding, func(b []byte) corpus.StepOutcome {
			return corpus.StepOutcome{Ret: 1 + uint32(b[len(b)-1]>>7), Packet: b}
		}, "XDP_DROP, then XDP_PASS"},
		{"looks at the last byte of the IP packet", padding, func(b []byte) corpus.StepOutcome {
			return corpus.StepOutcome{Ret: 1 + uint32(b[44]&1), Packet: b}
		}, ""},
		{"puts a sum of everything into the packet", udpPacket(1), func(b []byte) corpus.StepOutcome {
			b[24] = byte(sum(b))
			b[25] = b[len(b)-1]
			b[26] = ^b[len(b)-1]
			return passes(b)
		}, "of the packet is"},
		{"puts a header in front", padding, func(b []byte) corpus.StepOutcome { return passes(append(make([]byte, 20), b...)) }, ""},
		{"grows the tail", padding, func(b []byte) corpus.StepOutcome { return passes(append(b, 0, 0, 0, 0)) }, ""},
		{"is cut off", cut, func(b []byte) corpus.StepOutcome {
			return corpus.StepOutcome{Ret: 1 + uint32(b[len(b)-1]>>7), Packet: b}
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			prog := func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome { return test.prog(b) }
			f, err := judgeOf(t, xdpShape(), "past-total-length").Sampled(t.Context(), rerun(prog), inputOf(test.in))
			if err != nil {
				t.Fatal(err)
			}
			checkFailure(t, f, "past-total-length", test.want)
		})
	}
}

func TestPieces(t *testing.T) {
	shape := xdpShape()
	shape.Pieces = true
	short := func(s *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		n := len(b)
		if s.Flags&corpus.InPieces != 0 {
			n = corpus.FirstPiece
		}
		return corpus.StepOutcome{Ret: 1 + min(uint32(n)/1000, 1), Packet: b}
	}
	for size, want := range map[int]string{100: "", 300: "", 1100: "step 0, in one piece and then in two: returned XDP_PASS, then XDP_DROP"} {
		f, err := judgeOf(t, shape, "linear-frags").Sampled(t.Context(), rerun(short), inputOf(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		checkFailure(t, f, "linear-frags", want)
	}
}
