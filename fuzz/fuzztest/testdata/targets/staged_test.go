package targets_test

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
)

// stagedObject is the path of staged.o, which the test that runs this sets.
func stagedObject() string { return os.Getenv("STAGED_OBJECT") }

// solving reports whether the end of the chain is a failure; otherwise the rate is measured.
func solving() bool { return os.Getenv("STAGED_SOLVE") != "" }

// FuzzStaged is the staged program by package fuzztest.
func FuzzStaged(f *testing.F) {
	target := fuzztest.Target{Object: stagedObject(), Oracles: map[string]bool{"verdict": false}}
	fuzztest.Run(f, target, func(t *fuzztest.T, _ *corpus.Input, out *corpus.Outcome) {
		if out.Steps[0].Ret == 77 && solving() {
			t.Errorf("solved")
		}
	})
}

// FuzzByHand is the same as people write it without: f.Fuzz around Program.Run.
func FuzzByHand(f *testing.F) {
	spec, err := ebpf.LoadCollectionSpec(stagedObject())
	if err != nil {
		f.Fatal(err)
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(coll.Close)
	program := coll.Programs["staged"]
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) < 14 || len(packet) > 3000 {
			return
		}
		ret, err := program.Run(&ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+256)})
		if err != nil {
			t.Fatal(err)
		}
		if ret == 77 && solving() {
			t.Errorf("solved")
		}
	})
}
