package bpf

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func TestChanceHelpers(t *testing.T) {
	call := func(fns ...asm.BuiltinFunc) *ebpf.ProgramSpec {
		p := &ebpf.ProgramSpec{}
		for _, fn := range fns {
			p.Instructions = append(p.Instructions, fn.Call())
		}
		return p
	}
	got := chanceHelpers([]*ebpf.ProgramSpec{
		call(asm.FnKtimeGetNs, asm.FnMapLookupElem),
		call(asm.FnGetPrandomU32, asm.FnKtimeGetNs),
	})
	if want := []string{"bpf_get_prandom_u32", "bpf_ktime_get_ns"}; !slices.Equal(got, want) {
		t.Errorf("chanceHelpers = %v, want %v", got, want)
	}
	if got := chanceHelpers([]*ebpf.ProgramSpec{call(asm.FnMapLookupElem)}); len(got) != 0 {
		t.Errorf("chanceHelpers = %v for a program without any", got)
	}
}
