package bpf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// linkCallback appends a program's exception callback, and what that calls, from
// another program of the object. The loader links what code refers to, and the kernel
// forbids code to refer to the callback of its program.
func (o *Object) linkCallback(p *ebpf.ProgramSpec) {
	want := []string{instrument.Callback(p.Instructions)}
	for len(want) > 0 {
		name := want[0]
		want = want[1:]
		if name == "" || len(function(p.Instructions, name)) > 0 {
			continue
		}
		body := o.lent(name)
		p.Instructions = append(p.Instructions, body...)
		for i := range body {
			if body[i].IsFunctionReference() {
				want = append(want, body[i].Reference())
			}
		}
	}
}

// lent returns a copy of a function that some program of the object contains, nil
// for none.
func (o *Object) lent(name string) asm.Instructions {
	for _, other := range slices.Sorted(maps.Keys(o.spec.Programs)) {
		if body := function(o.spec.Programs[other].Instructions, name); len(body) > 0 {
			return slices.Clone(body)
		}
	}
	return nil
}

// function returns the instructions of a function, nil where it is not among them.
func function(code asm.Instructions, name string) asm.Instructions {
	start := slices.IndexFunc(code, func(ins asm.Instruction) bool { return ins.Symbol() == name })
	if start < 0 {
		return nil
	}
	end := start + 1
	for end < len(code) && btf.FuncMetadata(&code[end]) == nil {
		end++
	}
	return code[start:end]
}

// checkCallback says so where a program's exception callback is not to be had.
func checkCallback(object string, p *ebpf.ProgramSpec) error {
	name := instrument.Callback(p.Instructions)
	if name == "" || len(function(p.Instructions, name)) > 0 {
		return nil
	}
	return fmt.Errorf("object %s: the exception callback %q of program %q is in none of its programs' code, and cannot be linked; let another program of the object call %s", object, name, p.Name, name)
}
