package fuzz

import (
	"io"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
	"github.com/bpffuzz/bpffuzz/triage"
)

// What was in flight runs again, alone and together, is kept and judged.
func TestResume(t *testing.T) {
	target := newToy(4, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if packet[0] == 'n' {
			r.hit(1)
		}
		if packet[0] == 'b' {
			r.hit(2)
			return 77
		}
		r.state[string(packet[:1])]++
		if r.state["s"] == 2 {
			r.hit(3)
		}
		return 2
	})
	target.shared = true
	var inputs []*corpus.Input
	for _, text := range []string{"new", "bad", "state", "state again", "plain"} {
		packet := make([]byte, 60)
		copy(packet, text)
		inputs = append(inputs, &corpus.Input{Steps: []corpus.Step{{Packet: packet}}})
	}
	resumed := 0
	result, err := Run(t.Context(), target, Options{
		Seed: 1, Execs: 1, Resume: inputs, Judge: judgeOf(t, target),
		Triage:  triage.Options{Table: &target.table, Shape: &target.shape},
		Resumed: func(failing int) error { resumed += failing; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if resumed != 1 {
		t.Errorf("%d inputs fail, want 1", resumed)
	}
	if len(result.Findings) != 1 || result.Stats.Edges != 4 {
		t.Errorf("%d findings and %d edges, want 1 and 4", len(result.Findings), result.Stats.Edges)
	}
}

// Inputs that are to run again are checked like seeds, and errors of Resumed end a run.
func TestResumeErrors(t *testing.T) {
	illegal := []*corpus.Input{{Steps: []corpus.Step{{Packet: make([]byte, 300)}}}}
	target := newToy(2, func(r *toyRun, _ []byte) uint32 { r.hit(0); return 2 })
	_, err := Run(t.Context(), target, Options{Resume: illegal})
	if err == nil || err.Error() != "checking input in flight 0: step 0: a packet of 300 bytes, xdp takes 14 to 200" {
		t.Errorf("an illegal input gives %v", err)
	}
	stopped := io.ErrUnexpectedEOF
	_, err = Run(t.Context(), target, Options{
		Resume:  []*corpus.Input{{Steps: []corpus.Step{{Packet: make([]byte, 60)}}}},
		Resumed: func(int) error { return stopped },
	})
	if err != stopped {
		t.Errorf("an error of Resumed gives %v", err)
	}
}

// BenchmarkRound is the loop around a program that does nothing, with and without a
// journal.
func BenchmarkRound(b *testing.B) {
	for _, mode := range []string{"off", "on", "sync"} {
		b.Run(mode, func(b *testing.B) {
			target := newToy(1, func(r *toyRun, _ []byte) uint32 { r.hit(0); return 2 })
			opts := Options{NoFurther: true, Sample: 1 << 30}
			if mode != "off" {
				j, err := journal.Open(b.TempDir(), journal.Options{Sync: mode == "sync"})
				if err != nil {
					b.Fatal(err)
				}
				defer j.Close(true)
				opts.Journal = j
			}
			r := newRun(target, opts.withDefaults())
			w := r.workers[0]
			var err error
			if w.exec, err = target.NewExecutor(0); err == nil {
				err = w.openLane()
			}
			if err == nil {
				err = w.start(b.Context())
			}
			if err != nil {
				b.Fatal(err)
			}
			w.sampleIn = 1 << 40
			for b.Loop() {
				if err := w.round(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(w.exec.Batch().Cap()), "ns/input")
		})
	}
}
