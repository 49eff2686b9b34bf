package triage

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func returns(ret uint32) program {
	return func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		return corpus.StepOutcome{Ret: ret, Packet: b}
	}
}

func answers(errno syscall.Errno) program {
	return func(*corpus.Step, []byte, map[string]int) corpus.StepOutcome {
		return corpus.StepOutcome{Errno: errno, Ret: 0xdead}
	}
}

func TestOracles(t *testing.T) {
	calls := uint32(0)
	changing := func(change func(out *corpus.StepOutcome)) program {
		return func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
			out := corpus.StepOutcome{Ret: 2, Packet: b, Context: make([]byte, 24)}
			if calls++; calls%2 == 0 {
				change(&out)
			}
			return out
		}
	}
	flags := inputOf(udpPacket())
	flags.Steps[0].Flags = 4
	for _, test := range []struct {
		name, oracle string
		shape        *corpus.Shape
		in           *corpus.Input
		prog         program
		want         string // part of the reason; "" for silence
	}{
		{"every xdp verdict", "verdict", xdpShape(), nil, returns(4), ""},
		{"beyond the xdp verdicts", "verdict", xdpShape(), nil, returns(5), "returned 5 (0x5), which is no verdict of xdp"},
		{"minus one for xdp", "verdict", xdpShape(), nil, returns(0xffffffff), "returned -1"},
		{"minus one for tc", "verdict", tcShape(), nil, returns(0xffffffff), ""},
		{"64 for tc", "verdict", tcShape(), nil, returns(64), "returned 64"},
		{"66 is not 2", "verdict", tcShape(), nil, returns(66), "returned 66"},
		{"no verdict where there is an errno", "verdict", xdpShape(), nil, answers(syscall.EINVAL), ""},

		{"aborted", "aborted", xdpShape(), nil, returns(0), "XDP_ABORTED"},
		{"dropped", "aborted", xdpShape(), nil, returns(1), ""},
		{"did not run", "aborted", xdpShape(), nil, func(*corpus.Step, []byte, map[string]int) corpus.StepOutcome {
			return corpus.StepOutcome{Errno: syscall.EFAULT}
		}, ""},

		{"ran", "errno", xdpShape(), nil, returns(2), ""},
		{"legal input refused", "errno", xdpShape(), nil, answers(syscall.EINVAL), "answered 22 (invalid argument) to step 0"},
		{"short packet refused", "errno", xdpShape(), inputOf(make([]byte, 13)), answers(syscall.EINVAL), ""},
		{"short ipv4 refused", "errno", tcShape(), inputOf(udpPacket()[:33]), answers(syscall.EINVAL), ""},
		{"short ipv4 faulted", "errno", tcShape(), inputOf(udpPacket()[:33]), answers(syscall.EFAULT), "answered 14"},
		{"flags refused", "errno", tcShape(), flags, answers(syscall.EINVAL), ""},
		{"checksum complete", "errno", tcShape(), flags, answers(syscall.EBADMSG), "skb->csum"},
		{"no memory", "errno", xdpShape(), nil, answers(syscall.ENOMEM), ""},
		{"grown beyond the buffer", "errno", xdpShape(), nil, answers(syscall.ENOSPC), ""},

		{"same again", "nondeterministic", xdpShape(), nil, returns(2), ""},
		{"other verdict", "nondeterministic", xdpShape(), nil, changing(func(o *corpus.StepOutcome) { o.Ret = 1 }), "XDP_PASS, then XDP_DROP"},
		{"other byte", "nondeterministic", xdpShape(), nil, changing(func(o *corpus.StepOutcome) { o.Packet[3] = 9 }), "byte 3 of the packet is 0x00, then 0x09"},
		{"other length", "nondeterministic", xdpShape(), nil, changing(func(o *corpus.StepOutcome) { o.Packet = o.Packet[1:] }), "42 bytes, then 41"},
		{"other field", "nondeterministic", xdpShape(), nil, changing(func(o *corpus.StepOutcome) { o.Context[4] = 7 }), "data_end"},
		{"byte that is no field", "nondeterministic", xdpShape(), nil, changing(func(o *corpus.StepOutcome) { o.Context[22] = 7 }), ""},
		{"other errno", "nondeterministic", xdpShape(), nil, changing(func(o *corpus.StepOutcome) { o.Errno = 5 }), "errno 0, then 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls = 0
			in := test.in
			if in == nil {
				in = inputOf(udpPacket())
			}
			f, err := judgeOf(t, test.shape, test.oracle).Sampled(t.Context(), rerun(test.prog), in)
			if err != nil {
				t.Fatal(err)
			}
			checkFailure(t, f, test.oracle, test.want)
		})
	}
}

func checkFailure(t *testing.T, f *Failure, oracle, want string) {
	t.Helper()
	switch {
	case f == nil && want != "":
		t.Errorf("silent, want a failure with %q", want)
	case f != nil && want == "":
		t.Errorf("objects: %v", f)
	case f != nil && (f.Oracle != oracle || !strings.Contains(f.Error(), want)):
		t.Errorf("%s: %v, want %s with %q", f.Oracle, f, oracle, want)
	}
}

func TestOracleOptions(t *testing.T) {
	invariant := Oracle{Name: "mine", Judge: func(*corpus.Input, *corpus.Outcome) error { return nil }}
	open := xdpShape()
	open.Closed = false
	for _, test := range []struct {
		name    string
		shape   *corpus.Shape
		opts    OracleOptions
		want    string // names of the judge
		wantErr string
	}{
		{"defaults", xdpShape(), OracleOptions{}, "errno verdict checksum-broken lengths-broken ttl nondeterministic", ""},
		{"no closed set", open, OracleOptions{}, "errno checksum-broken lengths-broken ttl nondeterministic", ""},
		{"on and off", xdpShape(), OracleOptions{Enable: map[string]bool{"aborted": true, "verdict": false}}, "errno aborted checksum-broken lengths-broken ttl nondeterministic", ""},
		{"invariant", tcShape(), OracleOptions{Invariants: []Oracle{invariant}}, "errno verdict checksum-broken lengths-broken mine ttl nondeterministic", ""},
		{"unknown", xdpShape(), OracleOptions{Enable: map[string]bool{"verdikt": true}}, "", `unknown oracle "verdikt", choose among ` + strings.Join(OracleNames(), ", ")},
		{"meaningless", tcShape(), OracleOptions{Enable: map[string]bool{"aborted": true}}, "", "no meaning for programs of type sched_cls"},
		{"taken", tcShape(), OracleOptions{Invariants: []Oracle{{Name: "errno"}}}, "", `invariant "errno"`},
		{"twice", tcShape(), OracleOptions{Invariants: []Oracle{invariant, invariant}}, "", `invariant "mine"`},
		{"nameless", tcShape(), OracleOptions{Relations: []Relation{{}}}, "", "no name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			oracles, relations, err := Oracles(test.shape, test.opts)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error %v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(NewJudge(oracles, relations).Names(), " "); got != test.want {
				t.Errorf("oracles %s, want %s", got, test.want)
			}
		})
	}
}

func TestEverySkipsWhatWasNotRecorded(t *testing.T) {
	wrong := errors.New("wrong")
	j := NewJudge([]Oracle{
		{Name: "maps", Need: corpus.HaveMaps, Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			_, _, err := out.Maps.Lookup(nil, "m", nil)
			return err
		}},
		{Name: "sampled", When: Sampled, Judge: func(*corpus.Input, *corpus.Outcome) error { return wrong }},
	}, nil)
	if f := j.Every(inputOf(nil), &corpus.Outcome{Have: corpus.HaveRet}); f != nil {
		t.Errorf("objects: %v", f)
	}
	if j.Need() != corpus.HaveMaps {
		t.Errorf("needs %b", j.Need())
	}
}

func TestNilJudge(t *testing.T) {
	var j *Judge
	if f := j.Every(nil, nil); f != nil || j.Need() != 0 || j.Names() != nil {
		t.Error("a nil judge objects")
	}
	if f, err := j.Sampled(t.Context(), nil, nil); f != nil || err != nil {
		t.Error("a nil judge runs something")
	}
}

func TestTwinIsRun(t *testing.T) {
	judged := 0
	j := NewJudge(nil, []Relation{{
		Name: "longer", Need: corpus.HavePacket,
		Twin: func(dst, src *corpus.Input, _ *corpus.Outcome) bool {
			*dst = *src.Clone()
			dst.Steps[0].Packet = append(dst.Steps[0].Packet, 0)
			return len(src.Steps[0].Packet) < 100
		},
		Judge: func(a, b *corpus.Outcome) error {
			judged++
			if len(b.Steps[0].Packet) != len(a.Steps[0].Packet)+1 {
				t.Error("the twin was not run")
			}
			return nil
		},
	}})
	for _, n := range []int{20, 100} {
		if f, err := j.Sampled(t.Context(), rerun(returns(2)), inputOf(make([]byte, n))); f != nil || err != nil {
			t.Errorf("%v, %v", f, err)
		}
	}
	if judged != 1 {
		t.Errorf("judged %d times, want once: the second input has no twin", judged)
	}
}

func TestEveryDoesNotAllocate(t *testing.T) {
	oracles, relations, err := Oracles(xdpShape(), OracleOptions{Enable: map[string]bool{"aborted": true}})
	if err != nil {
		t.Fatal(err)
	}
	j := NewJudge(oracles, relations)
	in := inputOf(udpPacket(1, 2, 3), udpPacket())
	changed := udpPacket(1, 2, 3)
	changed[22]-- // the TTL, with the checksum kept right
	fixed(changed)
	out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{
		{Ret: 2, Packet: changed}, {Ret: 2, Packet: in.Steps[1].Packet},
	}}
	if n := testing.AllocsPerRun(100, func() {
		if f := j.Every(in, out); f != nil {
			t.Fatal(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEvery(b *testing.B) {
	oracles, relations, err := Oracles(xdpShape(), OracleOptions{})
	if err != nil {
		b.Fatal(err)
	}
	j := NewJudge(oracles, relations)
	in := inputOf(udpPacket(make([]byte, 22)...))
	changed := udpPacket(make([]byte, 22)...)
	changed[22]--
	fixed(changed)
	for name, packet := range map[string][]byte{"same": in.Steps[0].Packet, "changed": changed} {
		b.Run(name, func(b *testing.B) {
			out := &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket, Steps: []corpus.StepOutcome{{Ret: 2, Packet: packet}}}
			for b.Loop() {
				if f := j.Every(in, out); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}
