package triage

import (
	"bytes"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Oracles of packets are asked only about those that the program changed where that
// matters and let live.
func TestUnchangedPacketsAreNotJudged(t *testing.T) {
	shape := xdpShape()
	asked := 0
	oracle := newChecksum(shape)
	judge := oracle.Judge
	oracle.Judge = func(in *corpus.Input, out *corpus.Outcome) error {
		asked++
		return judge(in, out)
	}
	j := NewJudge([]Oracle{oracle}, nil)
	before := udpPacket(1, 2, 3)
	harmed := bytes.Clone(before)
	harmed[22]-- // the TTL, whose checksum is left as it was
	const drop, pass = 1, 2
	for _, test := range []struct {
		name   string
		ret    uint32
		packet []byte
		asked  int
		fails  bool
	}{
		{"the same bytes", pass, bytes.Clone(before), 0, false},
		{"the same buffer", pass, before, 0, false},
		{"other bytes of a packet that is dropped", drop, harmed, 0, false},
		{"other bytes", pass, harmed, 1, true},
		{"shorter", pass, before[:len(before)-1], 1, false},
	} {
		asked = 0
		out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{{Ret: test.ret, Packet: test.packet}}}
		if f := j.Every(inputOf(before), out); (f != nil) != test.fails {
			t.Errorf("%s: %v", test.name, f)
		}
		if asked != test.asked {
			t.Errorf("%s: asked %d times, want %d", test.name, asked, test.asked)
		}
	}
}
