package bpf

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// unknownChance stands for helpers that a loaded program calls and that the kernel
// does not name.
const unknownChance = "helpers that the kernel does not name"

// explainLoadedChance says which helpers of a loaded program may answer one input
// differently. They are the real ones: nothing of the program is replaced.
func (t *Target) explainLoadedChance() {
	t.shape.Chance = t.loaded.chance()
	t.noteChance()
}

// chance is chanceHelpers for instructions that the verifier left. Where the kernel
// hides what they call, that may be chance as well.
func (l *Loaded) chance() []string {
	info, err := l.prog.Info()
	if err != nil {
		return []string{unknownChance}
	}
	insns, err := info.Instructions()
	if err != nil {
		return []string{unknownChance}
	}
	nameHelpers(insns)
	var found []string
	for i := range insns {
		if name := loadedChance(&insns[i]); name != "" {
			found = append(found, name)
		}
	}
	if readsJiffies(insns) {
		found = append(found, "bpf_jiffies64")
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// loadedChance returns the helper that an instruction calls, "" where it is not one
// for time or chance.
func loadedChance(ins *asm.Instruction) string {
	if !ins.IsBuiltinCall() || asm.BuiltinFunc(ins.Constant) == asm.FnTailCall {
		return ""
	}
	switch name := ins.Reference(); name {
	case "":
		return unknownChance
	case "bpf_user_rnd_u32": // what implements it
		return "bpf_get_prandom_u32"
	case "bpf_perf_event_read", "bpf_perf_event_read_value":
		return "bpf_perf_event_read"
	case "bpf_ktime_get_ns", "bpf_ktime_get_boot_ns", "bpf_ktime_get_coarse_ns", "bpf_ktime_get_tai_ns", "bpf_jiffies64":
		return name
	}
	return ""
}

// readsJiffies reports whether the verifier has put a read of the kernel's ticks in
// place of bpf_jiffies64: an address, which programs cannot have otherwise, is loaded
// to R0, and 8 bytes from there. No symbol says what is there on most kernels.
func readsJiffies(insns asm.Instructions) bool {
	read := asm.LoadMem(asm.R0, asm.R0, 0, asm.DWord).OpCode
	for i := range len(insns) - 1 {
		at, load := &insns[i], &insns[i+1]
		if at.OpCode.IsDWordLoad() && at.Dst == asm.R0 && at.Src == asm.R0 &&
			load.OpCode == read && load.Dst == asm.R0 && load.Src == asm.R0 && load.Offset == 0 {
			return true
		}
	}
	return false
}
