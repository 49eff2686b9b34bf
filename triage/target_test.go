package triage

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// program is a target: it returns what one step gives, and may change the packet
// that it is given, which is a copy. State lasts from step to step of an input.
type program func(step *corpus.Step, b []byte, state map[string]int) corpus.StepOutcome

// rerun runs a program; each step passes the entry edge and edge 1+ret%8.
func rerun(prog program) Rerun {
	return func(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out := &corpus.Outcome{Have: want | corpus.HaveRet | corpus.HavePacket | corpus.HaveContext}
		state := map[string]int{}
		for i := range in.Steps {
			s := prog(&in.Steps[i], append([]byte(nil), in.Steps[i].Packet...), state)
			out.Steps = append(out.Steps, s)
			out.Trace = append(out.Trace, 0, 1+int(s.Ret%8))
		}
		return out, nil
	}
}

func testTable() *cover.Table {
	t := &cover.Table{Probes: 9}
	t.Edges = append(t.Edges, cover.Edge{Func: "prog", Kind: cover.Entry, From: -1, ToPos: cover.Pos{File: "prog.c", Line: 10}})
	for i := range 8 {
		t.Edges = append(t.Edges, cover.Edge{
			Func: "prog", Kind: cover.Taken, From: i, To: 10 + i,
			FromPos: cover.Pos{File: "prog.c", Line: 20 + i}, ToPos: cover.Pos{File: "prog.c", Line: 30 + i},
		})
	}
	return t
}

func xdpShape() *corpus.Shape {
	return &corpus.Shape{
		Program: "prog", Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 3520}, Meta: corpus.Bounds{Max: 216},
		ContextSize: 24, MaxSteps: 4, Closed: true,
		Output: []corpus.Field{{Name: "data", Offset: 0, Size: 4}, {Name: "data_end", Offset: 4, Size: 4}},
		Verdicts: []corpus.Verdict{
			{Value: 0, Name: "XDP_ABORTED"},
			{Value: 1, Name: "XDP_DROP"},
			{Value: 2, Name: "XDP_PASS"},
			{Value: 3, Name: "XDP_TX"},
			{Value: 4, Name: "XDP_REDIRECT"},
		},
	}
}

func tcShape() *corpus.Shape {
	return &corpus.Shape{
		Program: "prog", Type: "sched_cls", Packet: corpus.Bounds{Min: 14, Max: 3712}, MinIPv4: 34, MinIPv6: 54,
		MaxSteps: 4, Closed: true,
		Verdicts: []corpus.Verdict{
			{Value: 0xffffffff, Name: "TC_ACT_UNSPEC"}, {Value: 0, Name: "TC_ACT_OK"}, {Value: 2, Name: "TC_ACT_SHOT"},
		},
	}
}

// udpPacket is an Ethernet, IPv4 and UDP packet whose lengths and checksums are right.
func udpPacket(payload ...byte) []byte {
	b := make([]byte, 42, 42+len(payload))
	b[0], b[6], b[12] = 2, 4, 8
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(ip[20:], 1234)
	binary.BigEndian.PutUint16(ip[22:], 53)
	b[40] = 1 // not 0, which would mean that there is no checksum
	return fixed(append(b, payload...))
}

// fixed makes lengths and checksums of b right.
func fixed(b []byte) []byte {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	l.FixLengths(b)
	l.FixChecksums(b)
	return b
}

func inputOf(packets ...[]byte) *corpus.Input {
	in := &corpus.Input{}
	for _, p := range packets {
		in.Steps = append(in.Steps, corpus.Step{Packet: p})
	}
	return in
}

// judgeOf returns a judge with the named built-in oracle alone.
func judgeOf(t *testing.T, shape *corpus.Shape, name string) *Judge {
	t.Helper()
	enable := map[string]bool{}
	for _, n := range OracleNames() {
		enable[n] = n == name
	}
	oracles, relations, err := Oracles(shape, OracleOptions{Enable: enable})
	if err != nil {
		t.Fatal(err)
	}
	return NewJudge(oracles, relations)
}
