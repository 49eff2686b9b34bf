package instrument_test

import (
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

const chanceMap = "bpffuzz_chance"

// TestVirtualHelpersAreAccepted loads every program at hand that asks for time or
// chance, with the answers from a map.
func TestVirtualHelpersAreAccepted(t *testing.T) {
	needKernel(t)
	count := 0
	more, err := filepath.Glob("../../testdata/*/*.o")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range append(objects(t), more...) {
		spec, err := ebpf.LoadCollectionSpec(object)
		if err != nil {
			continue
		}
		for _, name := range names(spec.Programs) {
			one := alone(spec, name)
			if one == nil || !asks(one.Programs[name].Instructions) {
				continue
			}
			c, err := load(one)
			if err != nil {
				continue
			}
			c.Close()
			opts := options(one)
			opts.Chance = instrument.Chance{Map: chanceMap, CPUs: 8}
			plan, err := instrument.Analyze([]instrument.Program{program(one)}, opts)
			if err != nil {
				t.Fatal(err)
			}
			one.Maps[chanceMap] = &ebpf.MapSpec{
				Name: chanceMap, Type: ebpf.Array, KeySize: 4, ValueSize: instrument.ChanceSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
			}
			c, step := climb(t, one, plan, instrument.Full, instrument.Cover)
			if c == nil {
				t.Errorf("%s: program %s is accepted at no rung:\n%s", filepath.Base(object), name,
					verifierLog(instrumented(t, one, plan, instrument.Step{Rung: instrument.Eighth}, instrument.Cover)))
				continue
			}
			c.Close()
			count++
			t.Logf("%s: %s, %s", filepath.Base(object), name, step)
		}
	}
	if count == 0 {
		t.Skip("no object at hand has a program that asks for time or chance")
	}
}

func asks(code asm.Instructions) bool {
	for i := range code {
		if code[i].IsBuiltinCall() && instrument.IsVirtual(asm.BuiltinFunc(code[i].Constant)) {
			return true
		}
	}
	return false
}

// A processor's number indexes arrays: its bound is seen by the verifier.
func TestVirtualProcessorIsBounded(t *testing.T) {
	needKernel(t)
	code := asm.Instructions{
		asm.FnGetSmpProcessorId.Call().WithSymbol("cpu"),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -8),
		asm.Add.Reg(asm.R2, asm.R0),
		asm.StoreImm(asm.R2, 0, 1, asm.Byte),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{"cpu": {Name: "cpu", Type: ebpf.XDP, License: "GPL", Instructions: code}},
		Maps: map[string]*ebpf.MapSpec{chanceMap: {
			Name: chanceMap, Type: ebpf.Array, KeySize: 4, ValueSize: instrument.ChanceSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
		}},
	}
	opts := options(spec)
	opts.Chance = instrument.Chance{Map: chanceMap, CPUs: 8}
	plan, err := instrument.Analyze([]instrument.Program{program(spec)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	c, step := climb(t, spec, plan, instrument.Full, instrument.Cover)
	if c == nil {
		t.Fatalf("not accepted:\n%s", verifierLog(instrumented(t, spec, plan, instrument.Step{Rung: instrument.Full}, instrument.Cover)))
	}
	defer c.Close()
	if step.Rung != instrument.Full {
		t.Errorf("accepted as %s", step)
	}
}
