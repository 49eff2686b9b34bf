package bpf

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// statefulSteps is how many steps inputs of a program get for which it matters what ran
// before, unless the caller says: a handshake and what follows it.
const statefulSteps = 4

// defaultSteps returns how many steps inputs have: more than one where a run can
// leave entries to the next. What is written in place is seen later, by remembers.
func defaultSteps(programs []*ebpf.ProgramSpec) int {
	for _, p := range programs {
		if slices.ContainsFunc(p.Instructions, keepsEntries) {
			return statefulSteps
		}
	}
	return 1
}

func keepsEntries(ins asm.Instruction) bool {
	if !ins.IsBuiltinCall() {
		return false
	}
	switch asm.BuiltinFunc(ins.Constant) {
	case asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnMapPushElem, asm.FnMapPopElem:
		return true
	}
	return false
}

// remembers reports whether the program compares what it writes in place: values of
// maps, and global variables. Counters that it only ever adds to do not count.
func (t *Target) remembers() bool {
	sites := t.plan.Layout(t.step.Rung, instrument.Cover).Sites
	return slices.ContainsFunc(t.table.Comparisons, func(c cover.Comparison) bool {
		return writes(sites, &c.A) || writes(sites, &c.B)
	})
}

// writes reports whether what was loaded may have been written before.
func writes(sites []instrument.Site, o *cover.Operand) bool {
	return o.Source == cover.MapValueBytes && slices.ContainsFunc(sites, func(s instrument.Site) bool {
		if s.ReadOnly || s.Map != o.Name {
			return false
		}
		return s.Kind != instrument.Range || o.Offset < 0 || uint32(o.Offset) < s.Hi && uint32(o.Offset+o.Size) > s.Lo
	})
}
