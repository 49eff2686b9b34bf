package fuzz

import (
	"slices"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// stages is a toy that fails at the third of three packets in the right order, whose
// batches share state.
func stages() *toy {
	target := newToy(5, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		switch packet[13] {
		case 0x11:
			r.hit(1)
			r.state["stage"] = 1
		case 0x22:
			r.hit(2)
			if r.state["stage"]++; r.state["stage"] != 2 {
				r.state["stage"] = 0
			}
		case 0x33:
			r.hit(3)
			if r.state["stage"] == 2 {
				r.hit(4)
				return 55
			}
			r.state["stage"] = 0
		}
		return 2
	})
	target.shared = true
	return target
}

// What happens only after others in a batch becomes the shortest sequence that does it,
// however few steps mutators give an input.
func TestBatchFailureBecomesSequence(t *testing.T) {
	for _, steps := range []int{1, 4} {
		target := stages()
		target.shape.MaxSteps = steps
		result := runToy(t, target, Options{Seed: 3, Execs: 3_000_000, StopOnFinding: true})
		if len(result.Findings) != 1 {
			t.Fatalf("with %d steps: %d findings, want 1", steps, len(result.Findings))
		}
		var order []byte
		for _, s := range result.Findings[0].Input.Steps {
			order = append(order, s.Packet[13])
		}
		if !slices.Equal(order, []byte{0x11, 0x22, 0x33}) {
			t.Errorf("with %d steps: the sequence is % x, want 11 22 33", steps, order)
		}
	}
}

// What a batch covers only after others becomes an entry with several steps, as far
// as inputs may have them.
func TestBatchCoverageBecomesSequence(t *testing.T) {
	for steps, want := range map[int]int{1: 4, 2: 4, 3: 5, 4: 5} {
		target := stages()
		target.shape.MaxSteps, target.shape.Verdicts = steps, append(target.shape.Verdicts, corpus.Verdict{Value: 55})
		result := runToy(t, target, Options{Seed: 3, Execs: 300_000})
		if result.Stats.Edges != want {
			t.Errorf("with %d steps: %d edges, want %d", steps, result.Stats.Edges, want)
		}
		for _, e := range result.Entries {
			if e.Cover[4] != 0 && len(e.Input.Steps) != 3 {
				t.Errorf("with %d steps: the entry behind three packets has %d", steps, len(e.Input.Steps))
			}
		}
	}
}

// A limit that is reached after more packets than are looked for one by one fails from
// the initial state as well.
func TestLongSequenceIsConfirmed(t *testing.T) {
	const limit = 40
	target := newToy(1, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if r.state["seen"]++; r.state["seen"] > limit {
			return 99
		}
		return 2
	})
	target.shared, target.shape.MaxSteps = true, 1
	result := runToy(t, target, Options{Seed: 1, Execs: 200_000, StopOnFinding: true})
	if len(result.Findings) != 1 || result.Stats.Unconfirmed != 0 {
		t.Fatalf("%d findings and %d unconfirmed failures, want 1 and 0", len(result.Findings), result.Stats.Unconfirmed)
	}
	if n := len(result.Findings[0].Input.Steps); n != limit+1 {
		t.Errorf("minimised to %d steps, want %d", n, limit+1)
	}
}

// A failure that needs more than the batch is kept apart, with what ran before it.
func TestUnconfirmedFailuresHaveTheirBatch(t *testing.T) {
	for name, shared := range map[string]bool{"shared state": true, "state of its own": false} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			target := newToy(1, func(r *toyRun, packet []byte) uint32 {
				r.hit(0)
				if calls++; calls%3000 == 0 {
					return 99
				}
				return 2
			})
			target.shared, target.shape.MaxSteps = shared, 1
			var kept []*triage.Unconfirmed
			result := runToy(t, target, Options{Seed: 1, Execs: 30_000, Unconfirmed: func(u *triage.Unconfirmed) error {
				kept = append(kept, u)
				return nil
			}})
			if len(result.Findings) != 0 || len(kept) == 0 || uint64(len(kept)) != result.Stats.Unconfirmed {
				t.Fatalf("%d findings, %d failures kept apart of %d", len(result.Findings), len(kept), result.Stats.Unconfirmed)
			}
			longest := 0
			for _, u := range kept {
				if u.Oracle != "verdict" || !strings.Contains(u.Title, "99") || u.Program != "toy" {
					t.Errorf("kept %+v", u)
				}
				end := u.Batch.Steps[len(u.Batch.Steps)-1]
				if !slices.Equal(end.Packet, u.Failing.Steps[0].Packet) {
					t.Error("the batch does not end with the failing input")
				}
				longest = max(longest, len(u.Batch.Steps))
			}
			if (longest > 1) != shared {
				t.Errorf("the longest batch has %d steps", longest)
			}
		})
	}
}

// An oracle that reads on every run what batches do not record has every input run alone.
func TestEveryOracleIsAskedAboutEveryRun(t *testing.T) {
	for name, when := range map[string]triage.Cadence{"every": triage.Every, "sampled": triage.Sampled} {
		t.Run(name, func(t *testing.T) {
			runs, asked := 0, 0
			target := newToy(1, func(r *toyRun, packet []byte) uint32 {
				runs++
				r.hit(0)
				return 2
			})
			target.have, target.shape.MaxSteps = corpus.HaveContext, 1
			judge := triage.NewJudge([]triage.Oracle{{
				Name: "invariant-context", Need: corpus.HaveContext, When: when,
				Judge: func(*corpus.Input, *corpus.Outcome) error { asked++; return nil },
			}}, nil)
			result := runToy(t, target, Options{Judge: judge, Seed: 1, Execs: 10_000, Sample: 100})
			said := strings.Contains(result.Stats.Executor, "invariant-context is asked about every run")
			if every := when == triage.Every; said != every || every && asked < 9_000 {
				t.Errorf("asked about %d of %d runs, executor %q", asked, runs, result.Stats.Executor)
			}
			if when == triage.Sampled && (asked < 50 || asked > 200) {
				t.Errorf("asked about %d of %d runs, want about one in 100", asked, runs)
			}
			if n := result.Stats.Execs; n < 10_000 || n > 11_000 {
				t.Errorf("%d executions, want about 10,000", n)
			}
		})
	}
}

// The sample follows from the seed.
func TestSampleFollowsFromTheSeed(t *testing.T) {
	sampled := func(seed uint64) (inputs []string) {
		judge := triage.NewJudge([]triage.Oracle{{
			Name: "o", When: triage.Sampled,
			Judge: func(in *corpus.Input, _ *corpus.Outcome) error {
				inputs = append(inputs, string(corpus.Encode(in)))
				return nil
			},
		}}, nil)
		runToy(t, staged(), Options{Judge: judge, Seed: seed, Execs: 50_000, Sample: 500})
		return inputs
	}
	a, b := sampled(7), sampled(7)
	if !slices.Equal(a, b) || len(a) < 50 || len(a) > 200 {
		t.Errorf("two runs with one seed judge %d and %d inputs alone, want the same and about 100", len(a), len(b))
	}
	if slices.Equal(a, sampled(8)) {
		t.Error("another seed judges the same inputs alone")
	}
}
