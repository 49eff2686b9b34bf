package triage

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// leaky does with the packet what poison says where memory that it has not written is
// filled with ones.
func leaky(flag uint32, poison func(b []byte) []byte) program {
	return func(s *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		out := corpus.StepOutcome{Ret: 2, Context: make([]byte, 24)}
		if s.Flags&flag != 0 {
			b = poison(b)
		}
		out.Packet = b
		return out
	}
}

func poisonedShape() *corpus.Shape {
	s := xdpShape()
	s.Poison = corpus.OtherStack | corpus.OtherHeadroom
	return s
}

func TestPoisonRelations(t *testing.T) {
	set := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = 0xff; return b }
	}
	grown := func(prog program) program {
		return func(s *corpus.Step, b []byte, state map[string]int) corpus.StepOutcome {
			return prog(s, append(make([]byte, 20), b...), state)
		}
	}
	calls := 0
	const stack, headroom = corpus.OtherStack, corpus.OtherHeadroom
	for _, test := range []struct {
		name, oracle string
		prog         program
		want         string // part of the reason; "" for silence
	}{
		{"a field", "uninitialised", leaky(stack, set(22)), "step 0, first with zeros on the stack, then with ones: byte 22 of the packet is 0x40, then 0xff (ipv4.ttl)"},
		{"payload", "uninitialised", leaky(stack, set(42)), "(payload at offset 42)"},
		{"nothing", "uninitialised", leaky(0, nil), ""},
		{"headroom alone", "uninitialised", leaky(headroom, set(22)), ""},
		{"whatever it is filled with", "uninitialised", leaky(corpus.Poisoned, set(22)), ""},
		{"a packet that is dropped", "uninitialised", func(s *corpus.Step, b []byte, state map[string]int) corpus.StepOutcome {
			out := leaky(stack, set(22))(s, b, state)
			out.Ret = 1
			return out
		}, ""},
		{"another verdict", "uninitialised", func(s *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
			return corpus.StepOutcome{Ret: 1 + s.Flags>>30&1, Packet: b}
		}, "returned XDP_DROP, then XDP_PASS"},
		{"by chance", "uninitialised", func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
			calls++
			b[30] = byte(calls)
			return corpus.StepOutcome{Ret: 2, Packet: b}
		}, ""},
		{"a field of a packet that grew", "headroom", grown(leaky(headroom, set(3))), "first with zeros in the room in front of the packet, then with ones: byte 3 of the packet is 0x00, then 0xff (ethernet.h_dest)"},
		{"a packet that did not grow", "headroom", leaky(headroom, set(3)), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := inputOf(udpPacket(1, 2, 3))
			f, err := judgeOf(t, poisonedShape(), test.oracle).Sampled(t.Context(), rerun(test.prog), in)
			if err != nil {
				t.Fatal(err)
			}
			checkFailure(t, f, test.oracle, test.want)
			if in.Steps[0].Flags != 0 {
				t.Errorf("the input has flags %#x now", in.Steps[0].Flags)
			}
		})
	}
}

// Relations that compare with the same run share it.
func TestBasesAreShared(t *testing.T) {
	oracles, relations, err := Oracles(poisonedShape(), OracleOptions{Enable: map[string]bool{"ttl": false}})
	if err != nil {
		t.Fatal(err)
	}
	runs := map[uint32]int{}
	prog := func(s *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		runs[s.Flags]++
		return corpus.StepOutcome{Ret: 2, Packet: append(make([]byte, 20), b...)}
	}
	if f, err := NewJudge(oracles, relations).Sampled(t.Context(), rerun(prog), inputOf(make([]byte, 60))); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
	for flags, want := range map[uint32]int{0: 2, corpus.Poisoned: 1, corpus.Poisoned | corpus.OtherStack: 1, corpus.Poisoned | corpus.OtherHeadroom: 1} {
		if runs[flags] != want {
			t.Errorf("%d runs with flags %#x, want %d", runs[flags], flags, want)
		}
	}
}
