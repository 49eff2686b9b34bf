package bpf

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// statefulSteps is how many steps inputs of a program get that keeps entries in
// maps, unless the caller says: a handshake and what follows it.
const statefulSteps = 4

// defaultSteps returns how many steps inputs have: more than one where a run can
// leave entries to the next. Counters alone, which are written in place, do not count.
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
