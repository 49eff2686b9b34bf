package bpf

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// chanceHelpers returns the helpers with which programs read time or chance, so
// that running the same input again may end differently: by name, sorted.
func chanceHelpers(programs []*ebpf.ProgramSpec) []string {
	var found []string
	for _, p := range programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			if !ins.IsBuiltinCall() {
				continue
			}
			if name := chanceHelper(asm.BuiltinFunc(ins.Constant)); name != "" && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	return found
}

func chanceHelper(fn asm.BuiltinFunc) string {
	switch fn {
	case asm.FnGetPrandomU32:
		return "bpf_get_prandom_u32"
	case asm.FnKtimeGetNs:
		return "bpf_ktime_get_ns"
	case asm.FnKtimeGetBootNs:
		return "bpf_ktime_get_boot_ns"
	case asm.FnKtimeGetCoarseNs:
		return "bpf_ktime_get_coarse_ns"
	case asm.FnKtimeGetTaiNs:
		return "bpf_ktime_get_tai_ns"
	case asm.FnJiffies64:
		return "bpf_jiffies64"
	case asm.FnPerfEventRead, asm.FnPerfEventReadValue:
		return "bpf_perf_event_read"
	}
	return ""
}
