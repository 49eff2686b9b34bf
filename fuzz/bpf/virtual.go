package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// chanceMap is the name of the map from which virtual helpers are answered.
const chanceMap = "bpffuzz_chance"

// virtualize has helpers for time and chance answered from inputs, if the programs
// call any and the user does not want the real ones.
func (t *Target) virtualize(programs []*ebpf.ProgramSpec, real bool) {
	if real || !callsVirtual(programs, t.shape.CPUs > 0) {
		return
	}
	t.virtual = true
	t.shape.ChanceSize = instrument.ChanceRoom
}

func callsVirtual(programs []*ebpf.ProgramSpec, choosesCPU bool) bool {
	return slices.ContainsFunc(programs, func(p *ebpf.ProgramSpec) bool {
		return slices.ContainsFunc(p.Instructions, func(ins asm.Instruction) bool {
			fn := asm.BuiltinFunc(ins.Constant)
			return ins.IsBuiltinCall() && instrument.IsVirtual(fn) && !(choosesCPU && fn == asm.FnGetSmpProcessorId)
		})
	})
}

// explainChance says which helpers are left that may answer one input differently.
func (t *Target) explainChance(programs []*ebpf.ProgramSpec) {
	t.shape.Chance = chanceHelpers(programs)
	if t.virtual {
		t.shape.Chance = slices.DeleteFunc(t.shape.Chance, func(name string) bool { return !strings.HasPrefix(name, "bpf_perf_event") })
	}
	t.noteChance()
}

func (t *Target) noteChance() {
	if len(t.shape.Chance) > 0 {
		t.notes = append(t.notes, fmt.Sprintf("the program calls %s: outcomes of one input may differ, so the oracle \"nondeterministic\" is off unless it is switched on", strings.Join(t.shape.Chance, ", ")))
	}
}

// errNoRung says that a program is accepted as it is and with no instrumentation at all.
var errNoRung = errors.New("instrumentation failed at every rung")

// climbVirtual takes what climb ended with, and climbs once more with the real helpers where the kernel does not
// accept the program with others.
func (t *Target) climbVirtual(programs []*ebpf.ProgramSpec, err error) error {
	if !t.virtual || !errors.Is(err, errNoRung) {
		return err
	}
	t.virtual, t.shape.ChanceSize = false, 0
	t.notes = append(t.notes, "the kernel does not accept the program with time and chance taken from inputs, so it asks the kernel for them")
	if err := t.analyze(programs); err != nil {
		return err
	}
	return t.inLab(t.climb)
}

// addChance adds the map to a collection with instrumented programs.
func (t *Target) addChance(spec *ebpf.CollectionSpec) {
	if t.virtual {
		spec.Maps[chanceMap] = mappedValue(chanceMap, instrument.ChanceSize)
	}
}

// openChance maps it into memory.
func (i *instance) openChance() error {
	m := i.coll.Maps[chanceMap]
	if m == nil {
		return nil
	}
	mem, err := kernel.MapMemory(m.FD(), instrument.ChanceSize)
	if err != nil {
		return fmt.Errorf("time and chance of inputs: %w", err)
	}
	i.chance = mem
	i.also(func() error { return kernel.Unmap(mem) })
	return nil
}

// beginChance sets the clock of virtual helpers back.
func (i *instance) beginChance() {
	if i.chance != nil {
		instrument.BeginChance(i.chance)
	}
}

// setChance has virtual helpers answer from the bytes of a step.
func (i *instance) setChance(chance []byte) {
	if i.chance != nil {
		instrument.SetChance(i.chance, chance)
	}
}
