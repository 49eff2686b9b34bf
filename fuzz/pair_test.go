package fuzz

import (
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// branching returns a toy that passes edge 1 for one byte, and answers as told.
func branching(magic byte, hit, other uint32) *toy {
	return newToy(3, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if packet[13] == magic {
			r.hit(1)
			return hit
		}
		r.hit(2)
		return other
	})
}

func fuzzPair(t *testing.T, was, now *toy, words ...string) *Result {
	t.Helper()
	ignored, err := ParseIgnored(words)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := NewPair(was, now, ignored)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(t.Context(), pair, Options{
		Seed: 1, Execs: 20000, StopOnFinding: true, Judge: triage.NewJudge(Differences(), nil),
		Triage: triage.Options{Table: pair.Table(), Shape: pair.Shape()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestPairFindsDifference(t *testing.T) {
	result := fuzzPair(t, branching(7, 2, 2), branching(7, 1, 2))
	if len(result.Findings) != 1 {
		t.Fatalf("%d findings, want 1", len(result.Findings))
	}
	f := result.Findings[0]
	if f.Oracle != diffVerdict || f.Title != "step 0: the old program returns 2 (XDP_PASS), the new one returns 1 (XDP_DROP)" {
		t.Errorf("finding %s: %s", f.Oracle, f.Title)
	}
	if n := f.Input.Len(); n != 14 || f.Input.Steps[0].Packet[13] != 7 {
		t.Errorf("the input % x is not minimised", f.Input.Steps[0].Packet)
	}
}

func TestPairOfSameIsSilent(t *testing.T) {
	for name, words := range map[string][]string{"same": nil, "ignored": {"verdict"}} {
		now := branching(7, 2, 2)
		if words != nil {
			now = branching(7, 1, 2)
		}
		result := fuzzPair(t, branching(7, 2, 2), now, words...)
		if len(result.Findings) != 0 || result.Stats.Failing != 0 {
			t.Errorf("%s: %d findings, %d failing", name, len(result.Findings), result.Stats.Failing)
		}
		if result.Stats.Edges != 6 || result.Stats.Total != 6 {
			t.Errorf("%s: %d of %d edges, want those of both", name, result.Stats.Edges, result.Stats.Total)
		}
	}
}

// TestPairBatches has a batch of the old program fill several of the new one's.
func TestPairBatches(t *testing.T) {
	was, now := branching(7, 2, 2), branching(7, 1, 2)
	pair, err := NewPair(was, now, Ignored{})
	if err != nil {
		t.Fatal(err)
	}
	exec, err := pair.NewExecutor(0)
	if err != nil {
		t.Fatal(err)
	}
	e := exec.(*pairExecutor)
	e.now.exec.(*toyExecutor).batch = NewBatch(3, 1, Room{Packet: 200})
	batch := exec.Batch()
	for i := range 10 {
		in := batch.Next()
		step := in.Grow()
		step.Packet = step.Packet[:14]
		clear(step.Packet)
		step.Packet[13] = byte(i)
		batch.Commit()
	}
	if err := exec.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if differs := len(batch.Outcome(i).Events) > 0; differs != (i == 7) {
			t.Errorf("input %d differs: %v", i, differs)
		}
	}
	if n := pair.Table().Count(exec.Cover()); n != 6 {
		t.Errorf("%d of 6 edges covered", n)
	}
	if err := exec.Close(); err != nil {
		t.Error(err)
	}
}

func TestPairRefuses(t *testing.T) {
	was, now := branching(7, 2, 2), branching(7, 2, 2)
	now.shape.Type = "sched_cls"
	if _, err := NewPair(was, now, Ignored{}); err == nil || !strings.Contains(err.Error(), "take different inputs") {
		t.Errorf("two types: %v", err)
	}
}

func TestPacketsAndContextsDiffer(t *testing.T) {
	frame := make([]byte, 34)
	frame[12], frame[14], frame[22] = 8, 0x45, 64
	changed := append([]byte(nil), frame...)
	changed[22] = 63
	shape := corpus.Shape{Type: "xdp", Output: []corpus.Field{{Name: "mark", Offset: 0, Size: 4}, {Name: "hash", Offset: 4, Size: 4}}}
	step := func(packet []byte, mark byte) *corpus.Outcome {
		return &corpus.Outcome{
			Have:  corpus.HaveRet | corpus.HavePacket | corpus.HaveContext,
			Steps: []corpus.StepOutcome{{Packet: packet, Context: []byte{mark, 0, 0, 0, 0, 0, 0, 0}}},
		}
	}
	in := &corpus.Input{Steps: []corpus.Step{{Packet: frame}}}
	for _, tt := range []struct {
		name, ignore string
		packet       []byte
		mark         byte
		want         string
	}{
		{"same", "", frame, 1, ""},
		{"byte", "", changed, 1, "diff-packet: step 0: byte 22 of the old program's packet is 0x40 (ipv4.ttl), of the new one's 0x3f"},
		{"field ignored", "out.ipv4.ttl", changed, 1, ""},
		{"layer ignored", "out.ipv4", changed, 1, ""},
		{"other field ignored", "out.ipv4.check", changed, 1, "diff-packet: step 0: byte 22 of the old program's packet is 0x40 (ipv4.ttl), of the new one's 0x3f"},
		{"packet ignored", "packet", changed, 1, ""},
		{"length", "", frame[:20], 1, "diff-packet: step 0: the old program's packet has 34 bytes, the new one's 20"},
		{"length ignored", "out.len", frame[:20], 1, ""},
		{"context", "", frame, 2, "diff-context: step 0: ctx.mark has the bytes 01 00 00 00 after the old program, 02 00 00 00 after the new one"},
		{"context field ignored", "ctx.mark", frame, 2, ""},
		{"context ignored", "ctx", frame, 2, ""},
		{"other context field ignored", "ctx.hash", frame, 2, "diff-context: step 0: ctx.mark has the bytes 01 00 00 00 after the old program, 02 00 00 00 after the new one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ignored, err := ParseIgnored(strings.Fields(tt.ignore))
			if err != nil {
				t.Fatal(err)
			}
			p := &Pair{shape: shape, ignored: ignored}
			was, now := step(frame, 1), step(tt.packet, tt.mark)
			p.differ(in, was, now, corpus.HaveRet|corpus.HavePacket|corpus.HaveContext, &scratch{})
			got := ""
			for _, e := range was.Events {
				got += e.Source + ": " + e.Text
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestParseIgnoredRefuses(t *testing.T) {
	for _, word := range []string{"", "x", "out.", "out.nolayer", "out.ipv4.nofield", "map()", `map("a"`, "var()", `var("a"`, "in.ipv4.ttl"} {
		if _, err := ParseIgnored([]string{word}); err == nil {
			t.Errorf("%q is taken", word)
		}
	}
	shape := &corpus.Shape{Type: "xdp"}
	for _, word := range []string{"ctx.mark", `map("seen")`, `var("hits")`} {
		ignored, err := ParseIgnored([]string{word})
		if err != nil || ignored.check(shape, nil) == nil {
			t.Errorf("%q is taken for a program without it: %v", word, err)
		}
	}
}
