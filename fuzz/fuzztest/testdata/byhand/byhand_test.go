// Package byhand_test has fuzz targets as people write them without package fuzztest:
// f.Fuzz around Program.Run. It is apart since Go's engine gets slower with each
// package that a test imports.
package byhand_test

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest/testdata/magic"
)

// FuzzStagedByHand runs the object that the test that runs this names.
func FuzzStagedByHand(f *testing.F) {
	spec, err := ebpf.LoadCollectionSpec(os.Getenv("STAGED_OBJECT"))
	if err != nil {
		f.Fatal(err)
	}
	byHand(f, spec, make([]byte, 64), 77)
}

// FuzzMagicByHand looks for four bytes that are compared one after the other.
func FuzzMagicByHand(f *testing.F) { byHand(f, magic.Spec(4), make([]byte, 18), 3) }

// byHand fails where the program returns what it does at its end, unless its rate is
// measured.
func byHand(f *testing.F, spec *ebpf.CollectionSpec, seed []byte, end uint32) {
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(coll.Close)
	var program *ebpf.Program
	for _, program = range coll.Programs { // there is one
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) < 14 || len(packet) > 3000 {
			return
		}
		ret, err := program.Run(&ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+256)})
		if err != nil {
			t.Fatal(err)
		}
		if ret == end && os.Getenv("STAGED_SOLVE") != "" {
			t.Errorf("solved")
		}
	})
}
