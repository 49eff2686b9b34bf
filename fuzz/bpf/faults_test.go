package bpf

import (
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
	run := func(faults bool) *fuzz.Result {
		target, err := NewTarget(FromSpec("fallible.o", fallible()), Options{Setup: Setup{Faults: faults}})
		if err != nil {
			t.Fatal(err)
		}
		result, err := fuzz.Run(t.Context(), target, fuzz.Options{
			Seed: 1, Execs: 20_000, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: judgeOf(t, target),
			Triage: triage.Options{Program: "fallible", Table: target.Table(), Shape: target.Shape()},
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
		if f.Input.Steps[0].Fault == 0 || f.Steps[0].Faulted == nil {
			t.Errorf("%s: fault %d, %v failed", f.Key, f.Input.Steps[0].Fault, f.Steps[0].Faulted)
		}
	}
}
