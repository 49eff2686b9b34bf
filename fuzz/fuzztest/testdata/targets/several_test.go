package targets_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest/testdata/magic"
)

// FuzzCapture fails for what only the capture beside it has.
func FuzzCapture(f *testing.F) {
	target := target()
	target.Seeds = []string{"seeds.pcap"}
	fuzztest.Run(f, target, func(t *fuzztest.T, in *corpus.Input, _ *corpus.Outcome) {
		if bytes.HasSuffix(in.Steps[0].Packet, []byte("only in the capture")) {
			t.Errorf("the capture's packet is met")
		}
	})
}

// FuzzCleanupOne and FuzzCleanupTwo say when they are cleaned up.
func FuzzCleanupOne(f *testing.F) { cleanUp(f) }

func FuzzCleanupTwo(f *testing.F) { cleanUp(f) }

func cleanUp(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 15)))
	var calls atomic.Uint64
	f.Cleanup(func() { f.Logf("cleaned up after calls: %t", calls.Load() > 0) })
	fuzztest.Run(f, target(), func(*fuzztest.T, *corpus.Input, *corpus.Outcome) { calls.Add(1) })
}

// pass is an XDP program that looks at nothing.
func pass() *ebpf.CollectionSpec {
	return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"pass": {
		Name: "pass", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2).WithSymbol("pass"), asm.Return()},
	}}}
}

// FuzzDiffFirst and FuzzDiffSecond have one program that only its own coverage solves.
func FuzzDiffFirst(f *testing.F) { diff(f, magic.Spec(4), pass()) }

func FuzzDiffSecond(f *testing.F) { diff(f, pass(), magic.Spec(4)) }

func diff(f *testing.F, a, b *ebpf.CollectionSpec) {
	fuzztest.Diff(f, fuzztest.Target{Spec: a, Seed: 1, MaxSteps: 1}, fuzztest.Target{Spec: b, Seed: 1, MaxSteps: 1}, nil)
}

// FuzzRace has workers that write to the same word without a lock.
func FuzzRace(f *testing.F) {
	calls := 0
	fuzztest.Run(f, target(), func(*fuzztest.T, *corpus.Input, *corpus.Outcome) { calls++ })
	f.Logf("%d calls", calls)
}
