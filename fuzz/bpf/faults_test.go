package bpf

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// fallible puts an entry into a hash map, moves the head of its packet by 0 and looks
// the entry up. It returns XDP_PASS, and 8, 16 and 32 more, which is no verdict, where
// these fail.
func fallible() *ebpf.CollectionSpec {
	jump := func(op asm.JumpOp, value int64, over int16) asm.Instruction {
		return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: asm.R0, Constant: value, Offset: over}
	}
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("fallible"),
		asm.Mov.Imm(asm.R7, xdpPass),
		asm.StoreMem(asm.R10, -8, asm.R7, asm.DWord),
		asm.StoreMem(asm.R10, -16, asm.R7, asm.DWord),
		asm.LoadMapPtr(asm.R1, 0).WithReference("seen"),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8),
		asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -16),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		jump(asm.JEq, 0, 1),
		asm.Add.Imm(asm.R7, 8),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnXdpAdjustHead.Call(),
		jump(asm.JEq, 0, 1),
		asm.Add.Imm(asm.R7, 16),
		asm.LoadMapPtr(asm.R1, 0).WithReference("seen"),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		jump(asm.JNE, 0, 1),
		asm.Add.Imm(asm.R7, 32),
		asm.Mov.Reg(asm.R0, asm.R7),
		asm.Return(),
	}
	return &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{"fallible": {Name: "fallible", Type: ebpf.XDP, License: "GPL", Instructions: code}},
		Maps:     map[string]*ebpf.MapSpec{"seen": {Name: "seen", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 4}},
	}
}

func TestFaultsFailTheChosenCall(t *testing.T) {
	needKernel(t)
	target, err := NewTarget(FromSpec("fallible.o", fallible()), Options{MaxSteps: 2, Setup: Setup{Faults: true}})
	if err != nil {
		t.Fatal(err)
	}
	var sites []string
	for _, s := range target.Shape().Faults {
		sites = append(sites, s.Helper+" "+s.Error)
	}
	const want = "bpf_map_update_elem -E2BIG, bpf_xdp_adjust_head an error, bpf_map_lookup_elem NULL"
	if got := strings.Join(sites, ", "); got != want {
		t.Fatalf("sites %s, want %s", got, want)
	}
	isolated(t, func() {
		e := open(t, target)
		for _, tt := range []struct {
			fault, ret, faulted uint32
		}{
			{0, xdpPass, 0},
			{1, xdpPass + 8 + 32, 1}, // nothing to find
			{2, xdpPass + 16, 2},
			{3, xdpPass + 32, 3},
			{4, xdpPass, 0},
			{1<<32 - 1, xdpPass, 0},
		} {
			in := &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0), Fault: tt.fault}, {Packet: frame(60, 0)}}}
			out := alone(t, e, in)
			if got := out.Steps[0]; got.Ret != tt.ret || got.Faulted != tt.faulted {
				t.Errorf("fault %d: returned %d and call %d failed, want %d and %d", tt.fault, got.Ret, got.Faulted, tt.ret, tt.faulted)
			}
			if got := out.Steps[1]; got.Ret != xdpPass || got.Faulted != 0 {
				t.Errorf("fault %d: the next step returned %d and its call %d failed", tt.fault, got.Ret, got.Faulted)
			}
		}
	})
}

// Batches let the same calls fail as single runs, with inputs of several steps.
func TestFaultsInBatches(t *testing.T) {
	needBatches(t)
	target, err := NewTarget(FromSpec("fallible.o", fallible()), Options{MaxSteps: 3, Setup: Setup{Faults: true}})
	if err != nil {
		t.Fatal(err)
	}
	isolated(t, func() {
		b, ref := mustBatch(t, target), open(t, target)
		mut := mutate.New(target.shape, mutate.Options{Seed: 5})
		fillSequences(b, mut, []*corpus.Input{{Steps: []corpus.Step{{Packet: frame(60, 0)}}}})
		if err := b.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for i := range b.batch.Len() {
			in := b.batch.Input(i).Clone()
			for n := range in.Steps {
				// Inputs of a batch share the map: what is looked up may be there.
				got, want := b.batch.Outcome(i).Steps[n].Ret, alone(t, ref, in).Steps[n].Ret
				if got&24 != want&24 || in.Steps[n].Fault == 3 && got != want {
					t.Fatalf("input %d, step %d with fault %d: in a batch %d, alone %d", i, n, in.Steps[n].Fault, got, want)
				}
				if got&24 != 0 {
					failed++
				}
			}
		}
		if failed == 0 {
			t.Error("no call failed")
		}
	})
}

// A bug behind a failing call is found with faults, and is not there without.
func TestFuzzingFindsWhatFaultsReach(t *testing.T) {
	needKernel(t)
	obj, err := Open("testdata/types/faults.o")
	if err != nil {
		t.Fatal(err)
	}
	run := func(faults bool) *fuzz.Result {
		target, err := NewTarget(obj, Options{Setup: Setup{Faults: faults}})
		if err != nil {
			t.Fatal(err)
		}
		result, err := fuzz.Run(t.Context(), target, fuzz.Options{
			Seed: 1, Execs: 20_000, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: judgeOf(t, target),
			Triage: triage.Options{Program: "faults", Table: target.Table(), Shape: target.Shape()},
			Warn:   func(err error) { t.Log(err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if r := run(false); len(r.Findings) != 0 {
		t.Errorf("%d findings without faults: %v", len(r.Findings), r.Findings[0].Title)
	}
	r := run(true)
	if len(r.Findings) == 0 {
		t.Fatalf("no finding with faults after %d runs", r.Stats.Execs)
	}
	for _, f := range r.Findings {
		if len(f.Input.Steps) != 1 || f.Steps[0].Faulted == nil {
			t.Errorf("%s: %d steps, %v failed", f.Key, len(f.Input.Steps), f.Steps[0].Faulted)
			continue
		}
		if got := f.Steps[0].Faulted.String(); got != "bpf_map_update_elem at faults.bpf.c:25" {
			t.Errorf("%s: %s failed", f.Key, got)
		}
	}
}

// Programs that nobody here wrote are accepted with faults, at full coverage.
func TestFaultsAreAccepted(t *testing.T) {
	needKernel(t)
	examples, err := filepath.Glob("../../examples/*/*.o")
	if err != nil {
		t.Fatal(err)
	}
	programs, sites, without := 0, 0, 0
	for _, path := range append(sampleObjects(t), examples...) {
		obj, err := Open(path)
		if err != nil {
			continue // among the testdata are objects that do not parse
		}
		for name, prog := range obj.spec.Programs {
			if !fallibleCalls(prog) {
				continue
			}
			target, err := NewTarget(obj, Options{Program: name, Setup: Setup{Faults: true}})
			if err != nil {
				continue // nor does it load without
			}
			programs++
			sites += len(target.Shape().Faults)
			if !target.faults {
				without++
				t.Errorf("%s: %s: %v", path, name, target.Notes())
			}
		}
	}
	t.Logf("%d programs with %d fallible calls, %d accepted only without", programs, sites, without)
	if sites == 0 {
		t.Error("no program has a call that can be made to fail")
	}
}

// fallibleCalls reports whether a program calls what may fail, so that loading it shows something.
func fallibleCalls(p *ebpf.ProgramSpec) bool {
	return slices.ContainsFunc(p.Instructions, func(ins asm.Instruction) bool {
		switch asm.BuiltinFunc(ins.Constant) {
		case asm.FnMapUpdateElem, asm.FnXdpAdjustHead, asm.FnXdpAdjustTail, asm.FnFibLookup, asm.FnSkbLoadBytes, asm.FnRingbufReserve:
			return ins.IsBuiltinCall()
		}
		return false
	})
}
