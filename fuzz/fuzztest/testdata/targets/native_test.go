package targets_test

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest/testdata/magic"
)

// FuzzNative has Go's engine find the magic.
func FuzzNative(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 17)))
	fuzztest.Run(f, fuzztest.Target{Spec: magic.Spec(3), Native: true, MaxSteps: 1},
		func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
			if t.Verdict(0) == "XDP_TX" {
				t.Errorf("the magic is met")
			}
		})
}

// specOfHigh is a program that returns XDP_TX for all bytes from 0x80 on, which no
// built-in seed has there: what is tested is that inputs get through, so Go's engine is
// to find one soon.
func specOfHigh() *ebpf.CollectionSpec { return specUnless(asm.JLT.Imm(asm.R6, 0x80, "")) }

func nativeTarget() fuzztest.Target {
	target := target()
	target.Native = true
	return target
}

// FuzzNativeSteps fails for the second packet of an input.
func FuzzNativeSteps(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 15), make([]byte, 15)))
	target := nativeTarget()
	target.Spec, target.MaxSteps = specOfHigh(), 2
	fuzztest.Run(f, target, func(t *fuzztest.T, in *corpus.Input, _ *corpus.Outcome) {
		if len(in.Steps) == 2 && t.Verdict(1) == "XDP_TX" {
			t.Errorf("the second packet is met")
		}
	})
}

// FuzzNativeContext fails for what only the context of an input says.
func FuzzNativeContext(f *testing.F) {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"mark": {
		Name: "mark", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 8, asm.Word).WithSymbol("mark"), // __sk_buff.mark
			asm.And.Imm(asm.R2, 0xc0),                                   // built-in seeds have all bits or none
			asm.Mov.Imm(asm.R0, 0),
			jump(asm.JNE.Imm(asm.R2, 0x40, ""), 1),
			asm.Mov.Imm(asm.R0, 2),
			asm.Return(),
		},
	}}}
	fuzztest.Run(f, fuzztest.Target{Spec: spec, Native: true, MaxSteps: 1},
		func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
			if t.Verdict(0) == "TC_ACT_SHOT" {
				t.Errorf("the mark is met: %#x", t.Given(0, "mark"))
			}
		})
}

// FuzzNativeTable has two programs, the second of which fails.
func FuzzNativeTable(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 15)))
	other := specOfHigh()
	program := other.Programs["look"]
	program.Name, other.Programs = "other", map[string]*ebpf.ProgramSpec{"other": program}
	fuzztest.RunAll(f, []fuzztest.Target{nativeTarget(), {Spec: other, MaxSteps: 1}},
		func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
			if t.Program() == "other" && t.Verdict(0) == "XDP_TX" {
				t.Errorf("the other program")
			}
		})
}

// FuzzNativeDiff compares the program with one that looks for other bytes.
func FuzzNativeDiff(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 15)))
	next := nativeTarget()
	next.Spec = specOfHigh()
	fuzztest.Diff(f, nativeTarget(), next, nil)
}

// FuzzNativeMaps fails for what only the map says, on each run alone.
func FuzzNativeMaps(f *testing.F) {
	f.Add(fuzztest.Packets(make([]byte, 15)))
	fuzztest.Run(f, nativeTarget(), func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
		for key := uint32(0x80); key < 256; key++ {
			var n uint64
			if t.Lookup("bytes", key, &n) && n == 1 {
				t.Errorf("the map says so")
			}
		}
	})
}

// FuzzNativeOracle has a built-in oracle fail: no program of its type returns 77.
func FuzzNativeOracle(f *testing.F) {
	spec := specOfHigh()
	ins := spec.Programs["look"].Instructions
	ins[len(ins)-4].Constant = 77
	f.Add(fuzztest.Packets(make([]byte, 15)))
	fuzztest.Run(f, fuzztest.Target{Spec: spec, Native: true, MaxSteps: 1}, nil)
}

// FuzzNativeSeed fails for a built-in seed.
func FuzzNativeSeed(f *testing.F) {
	fuzztest.Run(f, nativeTarget(), func(t *fuzztest.T, in *corpus.Input, _ *corpus.Outcome) {
		if len(in.Steps[0].Packet) > 30 {
			t.Errorf("a long packet")
		}
	})
}

// FuzzNativeLasting has a program that returns XDP_TX for a byte that an earlier packet
// had: within one input of one packet there is none, but the map cannot be put back.
func FuzzNativeLasting(f *testing.F) {
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"met": {Name: "met", Type: ebpf.BloomFilter, ValueSize: 4, MaxEntries: 256},
		},
		Programs: map[string]*ebpf.ProgramSpec{"again": {
			Name: "again", Type: ebpf.XDP, License: "GPL",
			Instructions: asm.Instructions{
				asm.LoadMem(asm.R2, asm.R1, 0, asm.Word).WithSymbol("again"),
				asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
				asm.Mov.Reg(asm.R4, asm.R2),
				asm.Add.Imm(asm.R4, 15),
				asm.Mov.Imm(asm.R0, 2),
				jump(asm.JGT.Reg(asm.R4, asm.R3, ""), 17),
				asm.LoadMem(asm.R6, asm.R2, 14, asm.Byte),
				asm.StoreMem(asm.RFP, -4, asm.R6, asm.Word),
				asm.LoadMapPtr(asm.R1, 0).WithReference("met"), // two slots
				asm.Mov.Reg(asm.R2, asm.RFP),
				asm.Add.Imm(asm.R2, -4),
				asm.FnMapPeekElem.Call(),
				asm.Mov.Reg(asm.R7, asm.R0),
				asm.LoadMapPtr(asm.R1, 0).WithReference("met"),
				asm.Mov.Reg(asm.R2, asm.RFP),
				asm.Add.Imm(asm.R2, -4),
				asm.Mov.Imm(asm.R3, 0),
				asm.FnMapPushElem.Call(),
				asm.Mov.Imm(asm.R0, 2),
				jump(asm.JNE.Imm(asm.R7, 0, ""), 1),
				asm.Mov.Imm(asm.R0, 3),
				asm.Return(),
			},
		}},
	}
	f.Add(fuzztest.Packets(make([]byte, 15)))
	fuzztest.Run(f, fuzztest.Target{Spec: spec, Native: true, MaxSteps: 1},
		func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
			if t.Verdict(0) == "XDP_TX" {
				t.Errorf("the byte was met before")
			}
		})
}

// FuzzNativeKeys starts from an entry of an array, of whose key few values are one.
func FuzzNativeKeys(f *testing.F) {
	target := nativeTarget()
	target.Spec.Maps["bytes"].Type = ebpf.Array
	for _, key := range []byte{0, 0xff} {
		f.Add(corpus.Encode(&corpus.Input{
			Maps:  []corpus.MapEntry{{Map: "bytes", Key: []byte{key, key, key, key}, Value: make([]byte, 8)}},
			Steps: []corpus.Step{{Packet: make([]byte, 15)}},
		}))
	}
	fuzztest.Run(f, target, nil)
}

// FuzzNativePanic and FuzzNativeExit have a function that ends the process.
func FuzzNativePanic(f *testing.F) { endNatively(f, func() { panic("an own panic") }) }

func FuzzNativeExit(f *testing.F) { endNatively(f, func() { os.Exit(3) }) }

func endNatively(f *testing.F, end func()) {
	f.Add(fuzztest.Packets(make([]byte, 15)))
	target := nativeTarget()
	target.Spec = specOfHigh()
	fuzztest.Run(f, target, func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
		if t.Verdict(0) == "XDP_TX" {
			end()
		}
	})
}
