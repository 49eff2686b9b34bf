package triage

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// large is an input with everything in it.
func large() *corpus.Input {
	in := inputOf(udpPacket(1, 2, 3), encapsulated(tcpWithOptions()), udp6(bytes.Repeat([]byte{7}, 300)...))
	in.Maps = []corpus.MapEntry{{Map: "a", Key: []byte{1}, Value: []byte{2, 3}}, {Map: "b", Key: []byte{4}, Value: []byte{5, 6}}}
	for i := range in.Steps {
		s := &in.Steps[i]
		s.Meta, s.Context, s.Chance = bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 24), bytes.Repeat([]byte{3}, 9)
		s.CPU, s.Flags, s.Fault = 1, 2, 3
	}
	return in
}

// tcpWithOptions is an Ethernet, IPv4 and TCP packet, both with options.
func tcpWithOptions() []byte {
	b := make([]byte, 14+28+32+40)
	b[0], b[6], b[12] = 2, 4, 8
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x47, 64, 6
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2, 0x94, 4, 0, 0, 1, 1, 1, 1})
	tcp := ip[28:]
	tcp[1], tcp[3], tcp[12], tcp[13] = 9, 80, 0x80, 2
	copy(tcp[20:], []byte{2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 1, 1, 1})
	for i := range tcp[32:] {
		tcp[32+i] = byte(i + 1)
	}
	return fixed(b)
}

// anyStep makes a predicate on inputs of one on steps.
func anyStep(is func(*corpus.Step) bool) func(*corpus.Input) (bool, error) {
	return func(in *corpus.Input) (bool, error) {
		for i := range in.Steps {
			if is(&in.Steps[i]) {
				return true, nil
			}
		}
		return false, nil
	}
}

// has reports whether a packet has a layer whose checksum, if any, is valid.
func has(b []byte, layer packet.Layer) bool {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	i := l.Index(layer, 0)
	return i >= 0 && l.Headers[i].Len >= layer.MinLen() && l.Checksum(b, i) == packet.SumValid
}

func TestMinimise(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails func(*corpus.Input) (bool, error)
		bytes int // of all packets
		steps int
		check func(in *corpus.Input) bool
	}{
		{"anything", anyStep(func(*corpus.Step) bool { return true }), 0, 1, func(in *corpus.Input) bool {
			return in.Equal(inputOf(nil))
		}},
		{"a valid tcp header", anyStep(func(s *corpus.Step) bool { return has(s.Packet, packet.TCP) }), 54, 1, func(in *corpus.Input) bool {
			return has(in.Steps[0].Packet, packet.IPv4)
		}},
		{"ipv4 options", anyStep(func(s *corpus.Step) bool {
			var l packet.Layout
			l.Parse(s.Packet, packet.Ethernet)
			h, ok := l.Find(packet.IPv4, 0)
			return ok && h.Len > 20 && has(s.Packet, packet.IPv4)
		}), 38, 1, nil},
		{"long udp in ipv6", anyStep(func(s *corpus.Step) bool { return has(s.Packet, packet.UDP) && len(s.Packet) >= 200 }), 200, 1, nil},
		{"one byte of the context", anyStep(func(s *corpus.Step) bool { return len(s.Context) == 24 && s.Context[5] == 2 }), 0, 1, func(in *corpus.Input) bool {
			return in.Steps[0].Context[4] == 0 && in.Steps[0].Meta == nil && in.Steps[0].CPU == 0
		}},
		{"metadata of a length", anyStep(func(s *corpus.Step) bool { return len(s.Meta) >= 8 && len(s.Meta)%4 == 0 }), 0, 1, func(in *corpus.Input) bool {
			return len(in.Steps[0].Meta) == 8
		}},
		{"an entry and two steps", func(in *corpus.Input) (bool, error) {
			return len(in.Steps) >= 2 && len(in.Maps) > 0 && in.Maps[len(in.Maps)-1].Map == "b", nil
		}, 0, 2, func(in *corpus.Input) bool {
			return len(in.Maps) == 1 && bytes.Equal(in.Maps[0].Value, []byte{0, 0})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := large()
			got, err := Minimise(in, test.fails)
			if err != nil {
				t.Fatal(err)
			}
			if failing, _ := test.fails(got); !failing {
				t.Fatal("the result does not fail")
			}
			if !in.Equal(large()) {
				t.Error("the input was changed")
			}
			n := 0
			for i := range got.Steps {
				n += len(got.Steps[i].Packet)
			}
			if n != test.bytes || len(got.Steps) != test.steps {
				t.Errorf("%d bytes in %d steps, want %d in %d:\n%+v", n, len(got.Steps), test.bytes, test.steps, got)
			}
			if test.check != nil && !test.check(got) {
				t.Errorf("got %+v", got)
			}
			again, _ := Minimise(in, test.fails)
			if !again.Equal(got) {
				t.Error("a second time gives another result")
			}
			fixpoint, _ := Minimise(got, test.fails)
			if !fixpoint.Equal(got) {
				t.Error("the result can be minimised further")
			}
		})
	}
}

// A failure after three of nine steps, in their order and far apart, keeps these three:
// steps go one by one where they do not go together, and each is then made smaller.
func TestMinimiseSequences(t *testing.T) {
	in := &corpus.Input{}
	for i := range 9 {
		in.Steps = append(in.Steps, corpus.Step{Packet: append([]byte{byte('a' + i)}, bytes.Repeat([]byte{7}, 40)...)})
	}
	fails := func(in *corpus.Input) (bool, error) {
		wanted := "bei"
		for i := range in.Steps {
			if p := in.Steps[i].Packet; len(p) > 0 && wanted != "" && p[0] == wanted[0] {
				wanted = wanted[1:]
			}
		}
		return wanted == "", nil
	}
	got, err := Minimise(in, fails)
	if want := inputOf([]byte("b"), []byte("e"), []byte("i")); err != nil || !got.Equal(want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestMinimiseKeepsTheBestWhenInterrupted(t *testing.T) {
	stop := errors.New("stop")
	last := large().Len()
	for _, limit := range []int{0, 1, 10, 100, 1000} {
		calls := 0
		got, err := Minimise(large(), func(in *corpus.Input) (bool, error) {
			if calls++; calls > limit {
				return false, stop
			}
			return has(in.Steps[0].Packet, packet.UDP), nil
		})
		if !errors.Is(err, stop) && calls > limit {
			t.Errorf("error %v", err)
		}
		if !has(got.Steps[0].Packet, packet.UDP) || got.Len() > last {
			t.Errorf("after %d: %d bytes, before %d", limit, got.Len(), last)
		}
		last = got.Len()
	}
}

func TestMinimiseAsksOnce(t *testing.T) {
	asked := map[string]bool{}
	_, err := Minimise(large(), func(in *corpus.Input) (bool, error) {
		enc := string(corpus.Encode(in))
		if asked[enc] {
			t.Fatal("asked twice about the same input")
		}
		asked[enc] = true
		return len(in.Steps) == 2, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzMinimise(f *testing.F) {
	f.Add(corpus.Encode(large()))
	f.Fuzz(func(t *testing.T, enc []byte) {
		if len(enc) > 2000 {
			return
		}
		in := corpus.Decode(enc)
		calls := 0
		got, _ := Minimise(in, func(in *corpus.Input) (bool, error) {
			if calls++; calls > 500 {
				return false, errBudget
			}
			return calls%3 != 0, nil
		})
		if measureInput(in).less(measureInput(got)) {
			t.Error("it has grown")
		}
	})
}
