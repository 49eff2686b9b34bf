package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func TestDefaultSteps(t *testing.T) {
	for _, test := range []struct {
		name string
		fns  []asm.BuiltinFunc
		want int
	}{
		{"nothing", nil, 1},
		{"counters", []asm.BuiltinFunc{asm.FnMapLookupElem}, 1},
		{"a table", []asm.BuiltinFunc{asm.FnMapLookupElem, asm.FnMapUpdateElem}, statefulSteps},
		{"a queue", []asm.BuiltinFunc{asm.FnMapPopElem}, statefulSteps},
	} {
		p := &ebpf.ProgramSpec{}
		for _, fn := range test.fns {
			p.Instructions = append(p.Instructions, fn.Call())
		}
		if got := defaultSteps([]*ebpf.ProgramSpec{p}); got != test.want {
			t.Errorf("%s: %d steps, want %d", test.name, got, test.want)
		}
	}
}
