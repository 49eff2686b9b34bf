package targets_test

import (
	"os"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest/testdata/magic"
)

// stagedObject is the path of staged.o, which the test that runs this sets.
func stagedObject() string { return os.Getenv("STAGED_OBJECT") }

// solving reports whether the end of the chain is a failure; otherwise the rate is measured.
func solving() bool { return os.Getenv("STAGED_SOLVE") != "" }

// FuzzStaged is the staged program by package fuzztest.
func FuzzStaged(f *testing.F) { staged(f, false) }

// FuzzStagedNative is the same, by Go's engine.
func FuzzStagedNative(f *testing.F) { staged(f, true) }

func staged(f *testing.F, native bool) {
	f.Add(fuzztest.Packets(make([]byte, 64)))
	target := fuzztest.Target{Object: stagedObject(), Oracles: map[string]bool{"verdict": false}, Native: native, MaxSteps: 1}
	fuzztest.Run(f, target, func(t *fuzztest.T, _ *corpus.Input, out *corpus.Outcome) {
		if out.Steps[0].Ret == 77 && solving() {
			t.Errorf("solved")
		}
	})
}

// FuzzMagic looks for four bytes that are compared one after the other.
func FuzzMagic(f *testing.F) { lookForMagic(f, false) }

// FuzzMagicNative does the same, by Go's engine.
func FuzzMagicNative(f *testing.F) { lookForMagic(f, true) }

func lookForMagic(f *testing.F, native bool) {
	f.Add(fuzztest.Packets(make([]byte, 18)))
	fuzztest.Run(f, fuzztest.Target{Spec: magic.Spec(4), Native: native, MaxSteps: 1},
		func(t *fuzztest.T, _ *corpus.Input, out *corpus.Outcome) {
			if out.Steps[0].Ret == 3 && solving() {
				t.Errorf("solved")
			}
		})
}
