package fuzztest

import (
	"fmt"
	"os"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest/internal/counters"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// Bridge is the environment variable that says how Go's engine learns what a program of
// a Target with Native covered: "calls" by calls of Go code, as is done wherever the
// engine's memory cannot be written to, and "off" not at all.
const Bridge = "BPFFUZZ_BRIDGE"

// runNative has Go's engine fuzz. Each of its processes calls this, the one that
// coordinates for the seeds only.
func runNative(f *testing.F, mode mode, targets []Target, fn Func, compare Compare) {
	f.Helper()
	if what := missing(); what != "" {
		f.Fatalf("cannot fuzz: %s", what)
	}
	n := &native{}
	if err := n.open(f, targets, fn, compare); err != nil {
		f.Fatal(err)
	}
	if mode == coordinating {
		addNativeSeeds(f, n.lanes)
	}
	f.Fuzz(n.run)
}

// native runs the inputs of Go's engine in one of its processes.
type native struct {
	lanes    []*lane
	counters *counters.Counters // nil for a bridge that is off
	features []byte
}

func (n *native) open(f *testing.F, targets []Target, fn Func, compare Compare) error {
	switch how := os.Getenv(Bridge); how {
	case "":
		n.counters = counters.Open()
	case "calls":
		n.counters = &counters.Counters{}
	case "off":
	default:
		return fmt.Errorf("reading %s: %q is neither calls nor off", Bridge, how)
	}
	players, err := openPlayers(f, targets, fn, compare)
	n.lanes = newLanes(f, players)
	return err
}

func newLanes(f *testing.F, players []*player) (lanes []*lane) {
	for _, p := range players {
		lanes = append(lanes, newLane(p, f))
	}
	return lanes
}

// addNativeSeeds adds what targets name and, of the built-in seeds, those that cover
// something more: Go's engine takes its seeds in turn, however little they give. A plain
// go test adds the same, so that one that fails has its name there as well.
func addNativeSeeds(f *testing.F, lanes []*lane) {
	f.Helper()
	for _, l := range lanes {
		named, err := l.subject.seeds()
		if err != nil {
			f.Fatal(err)
		}
		for _, note := range l.subject.notes {
			f.Log(note)
		}
		for i, in := range append(named, mutate.Seeds(l.shape())...) {
			if err := l.execute(f.Context(), in); err != nil {
				f.Fatalf("running seed %d by program %s: %v", i, l.subject.name(), err)
			}
			if l.learn() || i < len(named) {
				f.Add(corpus.Encode(in))
			}
		}
	}
}

// run is the function that Go's engine fuzzes.
func (n *native) run(t *testing.T, encoded []byte) {
	in := corpus.Decode(encoded)
	n.features = n.features[:0]
	for _, l := range n.lanes {
		err := l.execute(t.Context(), in)
		if err != nil && len(l.in.Maps) > 0 {
			t.Skipf("program %s: %v", l.subject.name(), err) // any bytes are a key, but not of this map
		}
		if err != nil {
			t.Fatalf("running program %s: %v", l.subject.name(), err)
		}
		n.features = l.appendFeatures(n.features)
	}
	if n.counters != nil {
		n.counters.Forget()
		n.counters.Show(0, n.features)
	}
	for _, l := range n.lanes {
		l.report(t, n.twin(l))
	}
}

// twin returns the lane that one is compared with, nil where there is none or it ran
// something else.
func (n *native) twin(of *lane) *lane {
	for _, l := range n.lanes {
		if l.player == of.other && l.in.Equal(of.in) {
			return l
		}
	}
	return nil
}
