package bpf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// What programs print is heard, and what they count guides the fuzzer, however they
// are run.
func TestEventsAreHeardAndCounted(t *testing.T) {
	for _, test := range []struct {
		program string
		live    *Live
	}{
		{"frame", nil},
		{"frame", &Live{}},
		{"frame", &Live{Frames: 3}},
		{"message", nil},
		{"stream", nil},
		{"listener", nil},
		{"segment", nil},
		{"operation", nil},
		{"address", nil},
		{"create", nil},
	} {
		name := test.program
		if test.live != nil {
			name += fmt.Sprintf("/live %d", test.live.Frames)
		}
		t.Run(name, func(t *testing.T) {
			target := newCounted(t, test.program, test.live)
			err := kernel.Isolated(0, func() error {
				exec, err := target.NewExecutor(0)
				if err != nil {
					return err
				}
				checkCounted(t, target, exec, max(1, framesOf(test.live)))
				if err := exec.Recreate(t.Context()); err != nil {
					return err
				}
				checkCounted(t, target, exec, max(1, framesOf(test.live)))
				return exec.Close()
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func framesOf(live *Live) int {
	if live == nil {
		return 0
	}
	return live.Frames
}

func newCounted(t *testing.T, program string, live *Live) *Target {
	t.Helper()
	for _, needs := range []string{"sock_ops", "lwt_seg6local"} {
		needEvent(t, needs)
	}
	obj, err := Open(filepath.Join("testdata/trigger", "counted.o"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: program, Live: live, Feedback: []string{"counters"}})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// checkCounted looks for an input that the program counts, and compares what it says
// with what its counters say.
func checkCounted(t *testing.T, target *Target, exec fuzz.Executor, frames int) {
	t.Helper()
	said := 0
	for _, in := range mutate.Seeds(target.Shape()) {
		out, err := exec.Alone(t.Context(), in, corpus.HaveTrace)
		if err != nil {
			t.Fatal(err)
		}
		var sum uint64
		for _, event := range out.Events {
			var slot, n uint64
			if _, err := fmt.Sscanf(event.Text, "counter %d and %d", &slot, &n); event.Source != eventSource || err != nil || slot != 1 {
				t.Fatalf("event %+v", event)
			}
			sum += n
		}
		if len(out.Events)%frames != 0 {
			t.Fatalf("%d lines of %d frames", len(out.Events), frames)
		}
		if counted := countersHit(target, out); sum > 0 != slices.Equal(counted, []int{1}) {
			t.Fatalf("the program counts %d, and counters %v guide", sum, counted)
		}
		if said += len(out.Events); sum > 0 {
			checkBatched(t, exec, in, slices.Clone(out.Cover))
			return
		}
	}
	t.Errorf("no seed is counted, %d lines", said)
}

// checkBatched compares what an input covers in a batch with what it covers alone.
func checkBatched(t *testing.T, exec fuzz.Executor, in *corpus.Input, want []byte) {
	t.Helper()
	batch := exec.Batch()
	batch.Reset()
	batch.Next().CopyFrom(in)
	batch.Commit()
	if err := exec.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(exec.Cover(), want) {
		t.Errorf("in a batch the input covers\n% x, alone\n% x", exec.Cover(), want)
	}
}

// countersHit lists the counters of feedback maps that an outcome covers.
func countersHit(target *Target, out *corpus.Outcome) (hit []int) {
	table := target.Table()
	for i := range table.Edges {
		if e := &table.Edges[i]; strings.HasPrefix(e.ToPos.File, "map ") && out.Cover[e.Probe] != 0 {
			hit = append(hit, e.To)
		}
	}
	return hit
}
