package triage

import (
	"context"
	"errors"
	"math/bits"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// studied investigates an input without minimising it.
func studied(t *testing.T, shape *corpus.Shape, fn func(*corpus.Step, []byte, map[string]int) corpus.StepOutcome, in *corpus.Input, execs int) *Study {
	t.Helper()
	opts := Options{Table: testTable(), Shape: shape, MaxExecs: -1, StudyExecs: execs}
	f, err := Investigate(t.Context(), rerun(fn), judgeOf(t, shape, "verdict"), in, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f.Study
}

func matter(s *Study) (names []string) {
	for i := range s.Parts {
		if s.Parts[i].Matters {
			names = append(names, s.Parts[i].Name)
		}
	}
	return names
}

func equalNames(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestStudy(t *testing.T) {
	verdict := func(bad bool) corpus.StepOutcome {
		if bad {
			return corpus.StepOutcome{Ret: 77}
		}
		return corpus.StepOutcome{Ret: 2}
	}
	packet := udpPacket(42, 53, 4)
	for _, test := range []struct {
		name    string
		fails   func(s *corpus.Step, b []byte) bool
		want    []string
		passes  uint64 // of the nearest change
		nothing bool   // no change passes
	}{
		{"a field", func(_ *corpus.Step, b []byte) bool { return b[22] == packet[22] }, []string{"ipv4.ttl"}, uint64(packet[22]) ^ 1, false},
		{"a range", func(_ *corpus.Step, b []byte) bool { return b[22] >= 16 }, []string{"ipv4.ttl"}, 0, false},
		{
			"two fields, one nearer", func(_ *corpus.Step, b []byte) bool { return b[36] == 0 && b[37] == 53 && bits.OnesCount8(b[22]^64) < 2 },
			[]string{"ipv4.ttl", "udp.dest"},
			52, false,
		},
		{"a byte that is no field", func(_ *corpus.Step, b []byte) bool { return b[43] == packet[43] }, []string{"byte 43"}, uint64(packet[43]) ^ 1, false},
		{"nothing", func(*corpus.Step, []byte) bool { return true }, nil, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			fn := func(s *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
				o := verdict(test.fails(s, b))
				o.Packet = b
				return o
			}
			s := studied(t, xdpShape(), fn, inputOf(packet), 0)
			if s == nil || s.Cut {
				t.Fatalf("study %+v", s)
			}
			if got := matter(s); !equalNames(got, test.want) {
				t.Errorf("what matters is %q, want %q", got, test.want)
			}
			if test.nothing {
				if s.Nearest != nil {
					t.Errorf("nearest change %+v", s.Nearest)
				}
				return
			}
			if s.Nearest == nil || s.Nearest.Passes != test.passes {
				t.Fatalf("nearest change %+v, want value %d", s.Nearest, test.passes)
			}
			if len(s.Nearest.Steps) != 1 || s.Nearest.Steps[0].Ret != 2 {
				t.Errorf("it gives %+v", s.Nearest.Steps)
			}
			if fn(&s.Nearest.Input.Steps[0], s.Nearest.Input.Steps[0].Packet, nil).Ret != 2 {
				t.Error("the input of the nearest change fails")
			}
		})
	}
}

func TestStudyOfContextAndMaps(t *testing.T) {
	shape := tcShape()
	shape.Context = []corpus.Field{{Name: "mark", Offset: 8, Size: 4}, {Name: "odd", Offset: 12, Size: 4}}
	shape.ContextSize = 16
	in := inputOf(make([]byte, 14))
	in.Steps[0].Context = make([]byte, 16)
	in.Steps[0].Context[8] = 7
	fn := func(s *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		if len(s.Context) > 8 && s.Context[8] == 7 {
			return corpus.StepOutcome{Ret: 77, Packet: b}
		}
		return corpus.StepOutcome{Packet: b}
	}
	s := studied(t, shape, fn, in, 0)
	if got := matter(s); !equalNames(got, []string{"mark"}) || s.Nearest.Place != InContext || s.Nearest.Passes != 6 {
		t.Errorf("what matters is %q, nearest %+v", got, s.Nearest)
	}
}

func TestStudyIsBounded(t *testing.T) {
	always := func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		return corpus.StepOutcome{Ret: 77, Packet: b}
	}
	s := studied(t, xdpShape(), always, inputOf(make([]byte, 1000)), 50)
	if !s.Cut || s.Execs > 51 || len(s.Parts) == 0 || len(s.Parts) > 50 {
		t.Errorf("%d runs, %d parts, cut %t", s.Execs, len(s.Parts), s.Cut)
	}
	if s := studied(t, xdpShape(), always, inputOf(make([]byte, 60)), -1); s != nil {
		t.Errorf("a study that nobody asked for: %+v", s)
	}
}

func TestInterruptedStudyKeepsTheFinding(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	run := rerun(func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		if runs++; runs > 20 {
			cancel()
		}
		return corpus.StepOutcome{Ret: 77, Packet: b}
	})
	opts := options()
	opts.MaxExecs = -1
	f, err := Investigate(ctx, run, judgeOf(t, xdpShape(), "verdict"), inputOf(make([]byte, 300)), opts, nil)
	if err != nil || f == nil {
		t.Fatalf("finding %v, error %v", f, err)
	}
	if f.Study == nil || !f.Study.Cut {
		t.Errorf("study %+v", f.Study)
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("nothing was interrupted")
	}
}

// TestPartsCoverTheInput sees to it that each byte of a packet is in some part, no bit in
// two, and that setting a part changes nothing else.
func TestPartsCoverTheInput(t *testing.T) {
	b := append(udpPacket(1, 2, 3), 1, 2, 3)
	in := inputOf(b)
	in.Maps = []corpus.MapEntry{{Map: "m", Key: []byte{1, 2, 3, 4}, Value: []byte{5, 6}}}
	shape := xdpShape()
	shape.Maps = []corpus.MapShape{{Name: "m", Key: []corpus.Field{{Name: "port", Offset: 1, Size: 2, Big: true}}}}
	seen := make([]bool, 8*len(b))
	var names []string
	for _, p := range parts(shape, in) {
		changed := in.Clone()
		p.set(changed, p.Value)
		if !changed.Equal(in) {
			t.Errorf("%s: setting its value changes it", p.Name)
		}
		p.set(changed, p.Value^1)
		if changed.Equal(in) {
			t.Errorf("%s: another value is the same", p.Name)
		}
		if p.Place != InPacket {
			names = append(names, p.Place.String()+" "+p.Name)
			continue
		}
		for i := p.Bit; i < p.Bit+p.Bits; i++ {
			if seen[i] {
				t.Errorf("%s: bit %d is in another part as well", p.Name, i)
			}
			seen[i] = true
		}
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("bit %d is in no part", i)
		}
	}
	if want := []string{"key byte 0", "key port", "key byte 3", "value byte 0", "value byte 1"}; !equalNames(names, want) {
		t.Errorf("parts of maps %q, want %q", names, want)
	}
}
