// Package targets_test holds fuzz targets whose functions misbehave, or use what
// package fuzztest offers. Tests build it once and run it as go test does.
package targets_test

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
	"github.com/bpffuzz/bpffuzz/mutate"
)

func spec() *ebpf.CollectionSpec { return specOf('B') }

// specOf is an XDP program that returns XDP_TX for packets with the letter behind
// the Ethernet header, and counts packets by that byte.
func specOf(letter int32) *ebpf.CollectionSpec {
	return specUnless(asm.JNE.Imm(asm.R6, letter, ""))
}

// specUnless is such a program, which returns XDP_TX unless the jump about the byte in
// R6 is taken.
func specUnless(miss asm.Instruction) *ebpf.CollectionSpec {
	return &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"bytes": {Name: "bytes", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 256},
		},
		Programs: map[string]*ebpf.ProgramSpec{"look": {
			Name: "look", Type: ebpf.XDP, License: "GPL",
			Instructions: asm.Instructions{
				asm.LoadMem(asm.R2, asm.R1, 0, asm.Word).WithSymbol("look"),
				asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
				asm.Mov.Reg(asm.R4, asm.R2),
				asm.Add.Imm(asm.R4, 15),
				jump(asm.JGT.Reg(asm.R4, asm.R3, ""), 15),
				asm.LoadMem(asm.R6, asm.R2, 14, asm.Byte),
				asm.StoreMem(asm.RFP, -4, asm.R6, asm.Word),
				asm.Mov.Imm(asm.R5, 1),
				asm.StoreMem(asm.RFP, -16, asm.R5, asm.DWord),
				asm.LoadMapPtr(asm.R1, 0).WithReference("bytes"),
				asm.Mov.Reg(asm.R2, asm.RFP),
				asm.Add.Imm(asm.R2, -4),
				asm.Mov.Reg(asm.R3, asm.RFP),
				asm.Add.Imm(asm.R3, -16),
				asm.Mov.Imm(asm.R4, 0),
				asm.FnMapUpdateElem.Call(),
				jump(miss, 2),
				asm.Mov.Imm(asm.R0, 3),
				asm.Return(),
				asm.Mov.Imm(asm.R0, 2),
				asm.Return(),
			},
		}},
	}
}

// jump gives a jump its offset, as an object has it.
func jump(ins asm.Instruction, offset int16) asm.Instruction {
	ins.Offset = offset
	return ins
}

func target() fuzztest.Target { return fuzztest.Target{Spec: spec(), Seed: 1, MaxSteps: 1} }

// run fuzzes the program with a function that is called for XDP_TX only.
func run(f *testing.F, do func(t *fuzztest.T, in *corpus.Input)) {
	fuzztest.Run(f, target(), func(t *fuzztest.T, in *corpus.Input, out *corpus.Outcome) {
		if t.Verdict(0) == "XDP_TX" {
			do(t, in)
		}
	})
}

func FuzzFine(f *testing.F) { run(f, func(*fuzztest.T, *corpus.Input) {}) }

func FuzzError(f *testing.F) {
	run(f, func(t *fuzztest.T, in *corpus.Input) {
		t.Logf("%d bytes", len(in.Steps[0].Packet))
		t.Errorf("the B is met")
	})
}

func FuzzFatal(f *testing.F) {
	run(f, func(t *fuzztest.T, _ *corpus.Input) {
		helper(t)
		panic("not reached")
	})
}

func helper(t *fuzztest.T) {
	t.Helper()
	t.Fatal("fatal", "B")
}

func FuzzPanic(f *testing.F) {
	run(f, func(*fuzztest.T, *corpus.Input) { panic("an own panic") })
}

func FuzzSkip(f *testing.F) {
	run(f, func(t *fuzztest.T, _ *corpus.Input) {
		t.Cleanup(func() { _ = t.Failed() })
		t.Skip("not this one")
		t.Errorf("not reached")
	})
}

func FuzzExit(f *testing.F) { run(f, func(*fuzztest.T, *corpus.Input) { os.Exit(3) }) }

func FuzzExit0(f *testing.F) { run(f, func(*fuzztest.T, *corpus.Input) { os.Exit(0) }) }

func FuzzSleep(f *testing.F) {
	run(f, func(*fuzztest.T, *corpus.Input) { time.Sleep(10 * time.Second) })
}

// FuzzLate has goroutines that go on with the input after the function returned.
func FuzzLate(f *testing.F) {
	var started atomic.Int32
	run(f, func(_ *fuzztest.T, in *corpus.Input) {
		if started.Add(1) > 100 {
			return
		}
		go func() {
			for range 1000 {
				time.Sleep(time.Millisecond)
				for i := range in.Steps {
					_ = append([]byte(nil), in.Steps[i].Packet...)
				}
			}
		}()
	})
}

func FuzzGoroutinePanic(f *testing.F) {
	run(f, func(*fuzztest.T, *corpus.Input) {
		go panic("in a goroutine")
		time.Sleep(10 * time.Second)
	})
}

// FuzzMaps fails for what only the map says.
func FuzzMaps(f *testing.F) {
	fuzztest.Run(f, target(), func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
		var n uint64
		if t.Lookup("bytes", uint32('M'), &n) && n == 1 {
			t.Errorf("the M was counted")
		}
	})
}

// FuzzOutcomeMaps reads the map by the outcome itself.
func FuzzOutcomeMaps(f *testing.F) {
	fuzztest.Run(f, target(), func(t *fuzztest.T, _ *corpus.Input, out *corpus.Outcome) {
		key := binary.NativeEndian.AppendUint32(nil, 'M')
		if _, ok, err := out.Maps.Lookup(nil, "bytes", key); ok || err != nil {
			t.Errorf("the M was counted, error %v", err)
		}
	})
}

func FuzzContext(f *testing.F) {
	fuzztest.Run(f, target(), func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
		if end := t.Field(0, "data_end"); end == 77 {
			t.Errorf("the packet ends at %d", end)
		}
	})
}

func FuzzUnknownMap(f *testing.F) {
	fuzztest.Run(f, target(), func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
		t.Lookup("byte", uint32(0), new(uint64))
	})
}

func FuzzSeed(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 14), append(make([]byte, 14), 'B')))
	f.Add(fuzztest.Packets(append(make([]byte, 14), 'B')))
	target := target()
	target.MaxSteps = 2
	fuzztest.Run(f, target, func(t *fuzztest.T, in *corpus.Input, _ *corpus.Outcome) {
		if t.Verdict(len(in.Steps)-1) == "XDP_TX" {
			t.Errorf("a B in %d steps", len(in.Steps))
		}
	})
}

func FuzzWrongSeed(f *testing.F) {
	f.Add("a string")
	run(f, func(*fuzztest.T, *corpus.Input) {})
}

// FuzzTable runs one function on two programs, the second of which fails.
func FuzzTable(f *testing.F) {
	other := spec()
	program := other.Programs["look"]
	program.Name, other.Programs = "other", map[string]*ebpf.ProgramSpec{"other": program}
	fuzztest.RunAll(f, []fuzztest.Target{target(), {Spec: other, Seed: 1, MaxSteps: 1}},
		func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
			if t.Program() == "other" && t.Verdict(0) == "XDP_TX" {
				t.Errorf("the other one")
			}
		})
}

// FuzzOperator finds 16 bytes that only an operator of its own writes.
func FuzzOperator(f *testing.F) {
	f.Cleanup(func() { f.Log("cleaned up") })
	target := target()
	target.Operators = []mutate.Operator{{Name: "magic", Apply: func(r *mutate.Rand, s *corpus.Step) bool {
		s.Packet = s.Packet[:14]
		for range 16 {
			s.Packet = append(s.Packet, 'A'+byte(r.Below(2)))
		}
		s.Packet[14], s.Packet[29] = 'B', 'B'
		return true
	}}}
	fuzztest.Run(f, target, func(t *fuzztest.T, in *corpus.Input, _ *corpus.Outcome) {
		if p := in.Steps[0].Packet; len(p) == 30 && p[14] == 'B' && p[29] == 'B' && t.Verdict(0) == "XDP_TX" {
			t.Errorf("magic")
		}
	})
}

// FuzzDiff compares the program with one that looks for a "C".
func FuzzDiff(f *testing.F) {
	next := target()
	next.Spec = specOf('C')
	fuzztest.Diff(f, target(), next, nil)
}

// FuzzDiffSame compares the program with itself, by maps.
func FuzzDiffSame(f *testing.F) {
	fuzztest.Diff(f, target(), target(), func(t *fuzztest.T, _ *corpus.Input, a, b *corpus.Outcome) {
		if a.Steps[0].Ret != b.Steps[0].Ret {
			t.Errorf("%d is not %d", a.Steps[0].Ret, b.Steps[0].Ret)
		}
	})
}

// FuzzChecked has the verifier's claims checked, which hold.
func FuzzChecked(f *testing.F) {
	checked := target()
	checked.CheckVerifier = true
	fuzztest.Run(f, checked, nil)
}

func FuzzNoObject(f *testing.F) { fuzztest.Run(f, fuzztest.Target{Object: "missing.o"}, nil) }
