package bpf

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestLoadedChance: the instructions of a loaded program tell which helpers for time
// and chance it calls, also those that the verifier has replaced.
func TestLoadedChance(t *testing.T) {
	needKernel(t)
	for _, test := range []struct {
		name  string
		calls []asm.BuiltinFunc
		want  []string
	}{
		{"none", nil, nil},
		{"processor", []asm.BuiltinFunc{asm.FnGetSmpProcessorId}, nil},
		{"random", []asm.BuiltinFunc{asm.FnGetPrandomU32}, []string{"bpf_get_prandom_u32"}},
		{"ticks", []asm.BuiltinFunc{asm.FnJiffies64}, []string{"bpf_jiffies64"}},
		{"clocks", []asm.BuiltinFunc{asm.FnKtimeGetNs, asm.FnKtimeGetBootNs, asm.FnKtimeGetNs}, []string{"bpf_ktime_get_boot_ns", "bpf_ktime_get_ns"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var insns asm.Instructions
			for _, fn := range test.calls {
				insns = append(insns, fn.Call())
			}
			insns = append(insns, asm.Mov.Imm(asm.R0, 2), asm.Return())
			prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: insns})
			if err != nil {
				t.Fatal(err)
			}
			defer prog.Close()
			info, err := prog.Info()
			if err != nil {
				t.Fatal(err)
			}
			id, _ := info.ID()
			loaded, err := OpenLoaded(Selector{ID: uint32(id)})
			if err != nil {
				t.Fatal(err)
			}
			defer loaded.Close()
			target, err := NewLoadedTarget(loaded, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := target.Shape().Chance; !slices.Equal(got, test.want) {
				t.Errorf("calls %v are taken for %v, want %v", test.calls, got, test.want)
			}
		})
	}
}
