package fuzz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// staged is a toy with a chain of comparisons and a verdict outside the set behind
// the last one.
func staged() *toy {
	magic := []byte{0x5a, 0xc3, 0x11}
	return newToy(8, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		for i, want := range magic {
			if packet[14-len(magic)+i] != want {
				return 2
			}
			r.hit(1 + i)
		}
		if len(packet) < 100 {
			return 1
		}
		r.hit(5)
		return 77
	})
}

func judgeOf(t *testing.T, target Target) *triage.Judge {
	t.Helper()
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return triage.NewJudge(oracles, relations)
}

func runToy(t *testing.T, target Target, opts Options) *Result {
	t.Helper()
	if opts.Judge == nil {
		opts.Judge = judgeOf(t, target)
	}
	opts.Triage.Program, opts.Triage.Table, opts.Triage.Shape = "toy", target.Table(), target.Shape()
	result, err := Run(t.Context(), target, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestFindsPlantedBug(t *testing.T) {
	var kept []*corpus.Input
	var reported []string
	result := runToy(t, staged(), Options{
		Seed: 1, Execs: 3_000_000, StopOnFinding: true,
		Keep:   func(in ...*corpus.Input) error { kept = append(kept, in...); return nil },
		Report: func(f *triage.Finding) error { reported = append(reported, f.Key); return nil },
	})
	if len(result.Findings) != 1 {
		t.Fatalf("%d findings after %d executions, want 1", len(result.Findings), result.Stats.Execs)
	}
	f := result.Findings[0]
	if f.Oracle != "verdict" || !slices.Equal(reported, []string{f.Key}) {
		t.Errorf("oracle %q, reported %v", f.Oracle, reported)
	}
	if n := len(f.Input.Steps[0].Packet); n != 100 || len(f.Input.Steps) != 1 {
		t.Errorf("minimised to %d steps, the first of %d bytes; want one of 100", len(f.Input.Steps), n)
	}
	if len(kept) != len(result.Entries) || result.Stats.Corpus != len(kept) {
		t.Errorf("%d entries, %d kept, %d in the statistics", len(result.Entries), len(kept), result.Stats.Corpus)
	}
	if result.Stats.Edges != 5 || result.Stats.Total != 8 {
		t.Errorf("%d/%d edges, want 5/8", result.Stats.Edges, result.Stats.Total)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	once := func(seed uint64) (inputs []string, execs uint64) {
		result := runToy(t, staged(), Options{Seed: seed, Execs: 200_000})
		for _, e := range result.Entries {
			inputs = append(inputs, string(corpus.Encode(e.Input)))
		}
		return inputs, result.Stats.Execs
	}
	a, execsA := once(7)
	b, execsB := once(7)
	if !slices.Equal(a, b) || execsA != execsB {
		t.Errorf("two runs with one seed differ: %d and %d entries, %d and %d executions", len(a), len(b), execsA, execsB)
	}
	if c, _ := once(8); slices.Equal(a, c) {
		t.Error("another seed gives the same run")
	}
}

func TestSeveralWorkersShareOneCorpus(t *testing.T) {
	result := runToy(t, staged(), Options{Workers: 3, Seed: 1, Execs: 2_000_000})
	seen := map[string]bool{}
	for _, e := range result.Entries {
		if key := string(e.Cover); seen[key] {
			t.Error("two entries cover the same")
		} else {
			seen[key] = true
		}
	}
	if result.Stats.Workers != 3 || len(result.Findings) != 1 {
		t.Errorf("%d workers, %d findings; want 3 and 1", result.Stats.Workers, len(result.Findings))
	}
	if result.Findings[0].Count == 0 {
		t.Error("the failure was found again and not counted")
	}
}

func TestFlakyTargetDoesNotFlood(t *testing.T) {
	calls := 0
	target := newToy(64, func(r *toyRun, packet []byte) uint32 {
		calls++
		r.hit(calls % 64)
		return 2
	})
	result := runToy(t, target, Options{Seed: 1, Execs: 50_000})
	if len(result.Entries) > 64 {
		t.Errorf("%d entries for 64 edges", len(result.Entries))
	}
	if result.Stats.Stability > 0.1 {
		t.Errorf("stability %.2f of a program that never does the same twice", result.Stats.Stability)
	}
}

func TestUnconfirmedFailuresAreNotFindings(t *testing.T) {
	calls := 0
	target := newToy(1, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if calls++; calls == 5000 {
			return 99
		}
		return 2
	})
	result := runToy(t, target, Options{Seed: 1, Execs: 20_000})
	if len(result.Findings) != 0 || result.Stats.Unconfirmed != 1 {
		t.Errorf("%d findings and %d unconfirmed failures, want 0 and 1", len(result.Findings), result.Stats.Unconfirmed)
	}
}

func TestSequenceReachesState(t *testing.T) {
	target := newToy(4, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		switch packet[13] {
		case 0x10:
			r.hit(1)
			if r.state["syn"]++; r.state["syn"] >= 2 {
				r.hit(2)
			}
		case 0x20:
			r.hit(3)
			if r.state["syn"] >= 2 {
				return 55
			}
		}
		return 2
	})
	result := runToy(t, target, Options{Seed: 3, Execs: 3_000_000, StopOnFinding: true})
	if len(result.Findings) != 1 {
		t.Fatalf("%d findings, want 1", len(result.Findings))
	}
	if n := len(result.Findings[0].Input.Steps); n != 3 {
		t.Errorf("minimised to %d steps, want 3", n)
	}
}

// No worker is cut short because another one gets no more executions.
func TestWorkersUseUpTheLimit(t *testing.T) {
	const limit = 20_000
	for seed := range uint64(20) {
		result := runToy(t, staged(), Options{Workers: 3, Seed: seed, Execs: limit})
		if n := result.Stats.Execs; n < limit {
			t.Errorf("seed %d: %d executions, %d were asked for", seed, n, limit)
		}
	}
}

func TestLimits(t *testing.T) {
	loop := newToy(1, func(r *toyRun, _ []byte) uint32 { r.hit(0); return 2 })
	result := runToy(t, loop, Options{Execs: 10_000})
	if n := result.Stats.Execs; n < 10_000 || n > 11_000 {
		t.Errorf("%d executions, want about 10,000", n)
	}
	runToy(t, loop, Options{Duration: 10 * time.Millisecond}) // comes to an end at all
	ctx, cancel := context.WithCancel(t.Context())
	progress := 0
	_, err := Run(ctx, loop, Options{ProgressEvery: time.Millisecond, Progress: func(s Stats) {
		if progress++; progress == 3 {
			cancel()
		}
	}})
	if err != nil || progress < 3 {
		t.Errorf("after a cancelled run: %v, %d progress reports", err, progress)
	}
}

func TestRunErrors(t *testing.T) {
	loop := newToy(2, func(r *toyRun, _ []byte) uint32 { r.hit(0); return 2 })
	full := errors.New("no space left on device")
	for name, test := range map[string]struct {
		opts Options
		want string
	}{
		"illegal seed": {Options{Seeds: []*corpus.Input{{Steps: []corpus.Step{{Packet: make([]byte, 300)}}}}}, "seed 0: step 0: a packet of 300 bytes"},
		"full disk":    {Options{Keep: func(...*corpus.Input) error { return full }}, "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), loop, test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The loop itself must not allocate: only what is new may.
func TestRoundDoesNotAllocate(t *testing.T) {
	target := newToy(1, func(r *toyRun, _ []byte) uint32 { r.hit(0); return 2 })
	r := newRun(target, Options{Judge: judgeOf(t, target)}.withDefaults())
	w := r.workers[0]
	var err error
	if w.exec, err = target.NewExecutor(0); err != nil {
		t.Fatal(err)
	}
	if err := w.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sampleIn = 1 << 40
	round := func() {
		if err := w.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round()
	if n := testing.AllocsPerRun(200, round); n != 0 {
		t.Errorf("a round allocates %v times", n)
	}
}
