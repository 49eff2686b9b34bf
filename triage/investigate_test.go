package triage

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// failsOn returns the illegal verdict 7 for packets with 0xaa at offset 20.
func failsOn(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
	if len(b) > 20 && b[20] == 0xaa {
		return corpus.StepOutcome{Ret: 7, Packet: b}
	}
	return corpus.StepOutcome{Ret: 2, Packet: b}
}

func failing(n int) *corpus.Input {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xaa
	}
	return inputOf(b)
}

func options() Options { return Options{Table: testTable(), Shape: xdpShape()} }

func TestInvestigate(t *testing.T) {
	in := failing(200)
	in.Steps = append(in.Steps, failing(14).Steps[0])
	f, err := Investigate(t.Context(), rerun(failsOn), judgeOf(t, xdpShape(), "verdict"), in, options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.Oracle != "verdict" || f.Program != "prog" || f.Type != "xdp" || !strings.Contains(f.Title, "returned 7") {
		t.Errorf("%+v", f)
	}
	if f.Reliability != 10 || f.Runs != 10 || f.Count != 1 || f.Executions < 20 || len(f.Notes) != 0 {
		t.Errorf("%d of %d, count %d, %d executions, notes %q", f.Reliability, f.Runs, f.Count, f.Executions, f.Notes)
	}
	if want := inputOf(append(make([]byte, 20), 0xaa)); !f.Input.Equal(want) || !f.Original.Equal(in) {
		t.Errorf("minimised to %+v", f.Input)
	}
	if len(f.Steps) != 1 || f.Steps[0].Ret != 7 || len(f.Steps[0].Packet) != 21 {
		t.Errorf("steps %+v", f.Steps)
	}
	if len(f.Path) != 2 || f.Path[1].ToPos.Line != 37 {
		t.Errorf("path %+v", f.Path)
	}
	if err := xdpShape().Check(f.Input); err != nil {
		t.Error(err)
	}
}

func TestMinimisedInputObeysTheShape(t *testing.T) {
	always := func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		return corpus.StepOutcome{Ret: 77, Packet: b}
	}
	opts := Options{Table: testTable(), Shape: tcShape()}
	in := inputOf(udpPacket(1, 2, 3))
	in.Maps = []corpus.MapEntry{{Map: "m", Key: []byte{1}, Value: []byte{1}}}
	f, err := Investigate(t.Context(), rerun(always), judgeOf(t, tcShape(), "verdict"), in, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Input.Equal(inputOf(make([]byte, 14))) {
		t.Errorf("minimised to %+v", f.Input)
	}
}

func TestKnownFailures(t *testing.T) {
	judge := NewJudge([]Oracle{newVerdict(xdpShape()), {Name: "second", Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
		if out.Steps[0].Ret == 7 {
			return errors.New("seven")
		}
		return nil
	}}}, nil)
	var keys []string
	f, err := Investigate(t.Context(), rerun(failsOn), judge, failing(30), options(), func(key string) bool {
		keys = append(keys, key)
		return strings.HasPrefix(key, "verdict-")
	})
	if err != nil || f.Oracle != "second" || len(keys) != 2 || f.Key != keys[1] {
		t.Fatalf("finding %+v, error %v, asked for %q", f, err, keys)
	}
	_, err = Investigate(t.Context(), rerun(failsOn), judge, failing(30), options(), func(string) bool { return true })
	var known *KnownError
	if !errors.Is(err, ErrKnown) || !errors.As(err, &known) || known.Key != keys[1] {
		t.Errorf("error %v", err)
	}
}

func TestUnconfirmed(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails func(call int) bool
	}{
		{"never", func(int) bool { return false }},
		{"once", func(call int) bool { return call == 1 }},
		{"in two of five", func(call int) bool { return call <= 3 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := 0
			prog := func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
				if calls++; test.fails(calls) {
					return corpus.StepOutcome{Ret: 9}
				}
				return corpus.StepOutcome{Ret: 1}
			}
			_, err := Investigate(t.Context(), rerun(prog), judgeOf(t, xdpShape(), "verdict"), failing(20), options(), nil)
			if !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("error %v after %d calls", err, calls)
			}
		})
	}
}

func TestFlakyFailure(t *testing.T) {
	calls := 0
	prog := func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		if calls++; calls%4 != 0 && len(b) > 16 {
			return corpus.StepOutcome{Ret: 9}
		}
		return corpus.StepOutcome{Ret: 1}
	}
	f, err := Investigate(t.Context(), rerun(prog), judgeOf(t, xdpShape(), "verdict"), failing(60), options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Input.Steps[0].Packet) != 17 {
		t.Errorf("minimised to %d bytes, want 17", len(f.Input.Steps[0].Packet))
	}
	if f.Reliability < 7 || f.Reliability > 8 || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "of 10 runs") {
		t.Errorf("reliability %d, notes %q", f.Reliability, f.Notes)
	}
}

func TestUnreliableMinimumGivesTheOriginal(t *testing.T) {
	calls := 0
	prog := func(_ *corpus.Step, b []byte, _ map[string]int) corpus.StepOutcome {
		if calls++; len(b) == 60 || calls < 14 {
			return corpus.StepOutcome{Ret: 9}
		}
		return corpus.StepOutcome{Ret: 1}
	}
	f, err := Investigate(t.Context(), rerun(prog), judgeOf(t, xdpShape(), "verdict"), failing(60), options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Input.Equal(f.Original) || f.Reliability != 10 || !strings.Contains(strings.Join(f.Notes, "\n"), "this is the original") {
		t.Errorf("%d bytes, reliability %d, notes %q", f.Input.Len(), f.Reliability, f.Notes)
	}
}

func TestLimitsOfInvestigation(t *testing.T) {
	judge := judgeOf(t, xdpShape(), "verdict")
	t.Run("budget", func(t *testing.T) {
		opts := options()
		opts.MaxExecs = 10
		f, err := Investigate(t.Context(), rerun(failsOn), judge, failing(400), opts, nil)
		if err != nil || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "after 10 executions") || f.Executions > 40 {
			t.Errorf("error %v, finding %+v", err, f)
		}
	})
	t.Run("no minimisation", func(t *testing.T) {
		opts := options()
		opts.MaxExecs = -1
		f, err := Investigate(t.Context(), rerun(failsOn), judge, failing(400), opts, nil)
		if err != nil || !f.Input.Equal(failing(400)) || len(f.Notes) != 0 {
			t.Errorf("error %v, finding %+v", err, f)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		prog := func(s *corpus.Step, b []byte, state map[string]int) corpus.StepOutcome {
			if calls++; calls == 20 {
				cancel()
			}
			return failsOn(s, b, state)
		}
		f, err := Investigate(ctx, rerun(prog), judge, failing(400), options(), nil)
		if err != nil || f.Reliability != 10 || !strings.Contains(strings.Join(f.Notes, "\n"), "interrupted") || f.Input.Len() >= 400 {
			t.Errorf("error %v, finding %+v", err, f)
		}
	})
	t.Run("interrupted before it is confirmed", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Investigate(ctx, rerun(failsOn), judge, failing(400), options(), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("broken executor", func(t *testing.T) {
		broken := errors.New("broken")
		calls := 0
		run := func(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
			if calls++; calls > 12 {
				return nil, broken
			}
			return rerun(failsOn)(ctx, in, want)
		}
		if _, err := Investigate(t.Context(), run, judge, failing(400), options(), nil); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}

func TestLastingMapsAreRecreated(t *testing.T) {
	opts := options()
	opts.Shape.Maps = []corpus.MapShape{{Name: "flows", Lasting: "order of an LRU"}, {Name: "plain"}}
	recreated := 0
	opts.Recreate = func(context.Context) error { recreated++; return nil }
	f, err := Investigate(t.Context(), rerun(failsOn), judgeOf(t, xdpShape(), "verdict"), failing(30), opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if recreated != confirmRuns+measureRuns+1 { // the nearest input that passes is a claim as well
		t.Errorf("recreated %d times", recreated)
	}
	if len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "map flows (order of an LRU) cannot be put back") {
		t.Errorf("notes %q", f.Notes)
	}
	opts.Shape.Maps, opts.Shape.Lasting = opts.Shape.Maps[1:], []string{"map seen (bits of a bloom filter)"}
	recreated = 0
	f, err = Investigate(t.Context(), rerun(failsOn), judgeOf(t, xdpShape(), "verdict"), failing(30), opts, nil)
	if err != nil || recreated == 0 || len(f.Notes) != 1 || !strings.HasPrefix(f.Notes[0], "map seen (bits of a bloom filter) cannot") {
		t.Errorf("recreated %d times, error %v", recreated, err)
	}
	opts.Shape.Lasting = nil
	recreated = 0
	if _, err = Investigate(t.Context(), rerun(failsOn), judgeOf(t, xdpShape(), "verdict"), failing(30), opts, nil); err != nil || recreated != 0 {
		t.Errorf("recreated %d times, error %v", recreated, err)
	}
}

func TestSequenceIsMinimised(t *testing.T) {
	prog := func(s *corpus.Step, b []byte, state map[string]int) corpus.StepOutcome {
		if b[0] == 1 {
			state["open"]++
		}
		if b[0] == 2 && state["open"] > 0 {
			return corpus.StepOutcome{Ret: 9, Packet: b}
		}
		return corpus.StepOutcome{Ret: 2, Packet: b}
	}
	packet := func(kind byte) []byte { return append([]byte{kind}, make([]byte, 40)...) }
	f, err := Investigate(t.Context(), rerun(prog), judgeOf(t, xdpShape(), "verdict"),
		inputOf(packet(0), packet(1), packet(2), packet(0)), options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := inputOf(packet(1)[:14], packet(2)[:14]); !f.Input.Equal(want) {
		t.Errorf("minimised to %+v", f.Input)
	}
	short, err := Investigate(t.Context(), rerun(prog), judgeOf(t, xdpShape(), "verdict"), inputOf(packet(1), packet(2)), options(), nil)
	if err != nil || short.Key != f.Key {
		t.Errorf("steps in front and behind give another key: %s and %s, error %v", f.Key, short.Key, err)
	}
}

func TestKey(t *testing.T) {
	line := func(n int) cover.Pos { return cover.Pos{File: "a.c", Line: n} }
	e := func(from, to int) cover.Edge {
		return cover.Edge{Func: "f", Kind: cover.Taken, From: from, To: to, FromPos: line(from), ToPos: line(to)}
	}
	path := []cover.Edge{e(1, 2), e(3, 4), e(5, 6), e(7, 8)}
	key := newKey("verdict", "prog", path)
	if !strings.HasPrefix(key, "verdict-prog-") || len(key) != len("verdict-prog-")+8 {
		t.Errorf("key %q", key)
	}
	moved := append([]cover.Edge(nil), path...)
	for i := range moved {
		moved[i].From, moved[i].To = moved[i].From+9, moved[i].To+9
		moved[i].FromPos.Column = 4
	}
	entry := cover.Edge{Func: "prog", Kind: cover.Entry, From: -1, ToPos: line(1)}
	short := []cover.Edge{entry, e(7, 8)}
	for _, test := range []struct {
		name string
		key  string
		same bool
	}{
		{"first edge", newKey("verdict", "prog", append([]cover.Edge{e(9, 9)}, path[1:]...)), true},
		{"moved instructions", newKey("verdict", "prog", moved), true},
		{"edge on the same lines", newKey("verdict", "prog", append(path[:4:4], e(7, 8))), true},
		{"last edge", newKey("verdict", "prog", append(path[:3:3], e(7, 9))), false},
		{"oracle", newKey("errno", "prog", path), false},
		{"program", newKey("verdict", "other", path), false},
		{"no path", newKey("verdict", "prog", nil), false},
	} {
		if (test.key == key) != test.same {
			t.Errorf("%s: %s and %s", test.name, key, test.key)
		}
	}
	said := func(text string, n int) []cover.Edge {
		last := e(7, 8)
		last.FromPos.Text, last.ToPos.Text, last.ToPos.Nth = "if (bad)", text, n
		last.FromPos.Line, last.ToPos.Line, last.ToPos.File = 100+len(text), 200+n, "elsewhere/a.c"
		return []cover.Edge{last}
	}
	moved = said("return 7;", 1)
	moved[0].FromPos.Line, moved[0].ToPos.Line, moved[0].ToPos.File = 1, 2, "a.c"
	if newKey("o", "prog", moved) != newKey("o", "prog", said("return 7;", 1)) {
		t.Error("lines that move make a difference where their text is known")
	}
	for name, other := range map[string][]cover.Edge{"another line": said("return 8;", 1), "the second line alike": said("return 7;", 2)} {
		if newKey("o", "prog", moved) == newKey("o", "prog", other) {
			t.Errorf("%s makes no difference", name)
		}
	}
	if newKey("o", "prog", short) != newKey("o", "prog", append([]cover.Edge{e(1, 2)}, short...)) {
		t.Error("an earlier step is part of the key")
	}
	bare := []cover.Edge{{Func: "f", From: 1, To: 2}}
	other := []cover.Edge{{Func: "f", From: 1, To: 3}}
	if newKey("o", "p", bare) == newKey("o", "p", other) {
		t.Error("offsets make no difference where there are no lines")
	}
	long := newKey("a/../b", strings.Repeat("x", 300)+"\x00", nil)
	if strings.ContainsAny(long, "/.\x00") || len(long) > 120 {
		t.Errorf("key %q is no file name", long)
	}
}

func TestSummary(t *testing.T) {
	in := inputOf([]byte{1, 2, 3, 4}, []byte{1})
	in.Steps[0].Meta = []byte{9, 9, 9, 9}
	out := &corpus.Outcome{Steps: []corpus.StepOutcome{
		{Ret: 3, Packet: []byte{8, 8, 8, 8, 8, 8, 8, 8, 1, 5, 6, 7}, Context: append([]byte{8}, make([]byte, 23)...)},
		{Ret: 99, Packet: []byte{1, 2}},
	}}
	got := summarise(xdpShape(), in, out)
	if len(got) != 2 || got[0].Verdict != "XDP_TX" || len(got[0].Meta) != 8 || len(got[0].Packet) != 4 || got[1].Verdict != "" || got[1].Changed != nil {
		t.Fatalf("%+v", got)
	}
	if want := (corpus.Bounds{Min: 1, Max: 3}); len(got[0].Changed) != 1 || got[0].Changed[0] != want {
		t.Errorf("changed %v, want %v", got[0].Changed, want)
	}
	if got := changes([]byte{1, 2, 3, 4}, []byte{0, 2, 0, 4}); len(got) != 2 || got[1] != (corpus.Bounds{Min: 2, Max: 2}) {
		t.Errorf("changed %v", got)
	}
}
