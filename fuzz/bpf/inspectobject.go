package bpf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// ProgramSummary describes a program of an object. Its type is as bpftool prints it.
type ProgramSummary struct {
	ProgramInfo
	License string
	// Instructions counts instructions, Slots their size in units of 8 bytes.
	Instructions, Slots int
	// Functions, Edges and Loops count those of the program alone, without what it
	// tail-calls. They are 0 where Err is not nil.
	Functions, Edges, Loops int
	// Maps are the names of those that the program refers to, in the object's order.
	Maps []string
	// Err says why the code could not be taken apart.
	Err error
}

// Summaries describes the programs of the object by name. It asks nothing of the
// kernel.
func (o *Object) Summaries() []ProgramSummary {
	var list []ProgramSummary
	for _, info := range o.Programs() {
		list = append(list, o.summary(info))
	}
	return list
}

func (o *Object) summary(info ProgramInfo) ProgramSummary {
	p := o.spec.Programs[info.Name]
	s := ProgramSummary{
		ProgramInfo: info, License: p.License, Instructions: len(p.Instructions), Slots: slotsOf(p.Instructions),
		Maps: mapsOf(o.spec, []*ebpf.ProgramSpec{p}),
	}
	s.Type = typeName(p.Type)
	plan, err := instrument.Analyze([]instrument.Program{{Name: info.Name, Instructions: p.Instructions}}, instrument.Options{})
	if err != nil {
		s.Err = err
		return s
	}
	table := plan.Table(instrument.Full)
	s.Functions, s.Edges, s.Loops = len(plan.Functions()), len(table.Edges), len(table.Loops)
	return s
}

// Code takes a program of the object apart, with what it tail-calls as setup says.
// "" means the only program. It asks nothing of the kernel, and takes programs that
// cannot be fuzzed as well. Edges and probes are those that a Target has when the
// kernel accepts all of them.
func (o *Object) Code(program string, setup Setup) (*Code, error) {
	program, err := o.find(program)
	if err != nil {
		return nil, err
	}
	spec := o.spec.Copy()
	if len(setup.TailCalls) > 0 {
		only := Setup{TailCalls: setup.TailCalls}
		if err := only.apply(spec, 1); err != nil {
			return nil, err
		}
	}
	var list []instrument.Program
	for _, p := range reachable(spec, spec.Programs[program]) {
		list = append(list, instrument.Program{Name: nameIn(spec, p), Instructions: p.Instructions})
	}
	code, err := newCode(list, nil)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", o.Name, err)
	}
	return code, nil
}

// nameIn returns the name by which the object knows a program.
func nameIn(spec *ebpf.CollectionSpec, program *ebpf.ProgramSpec) string {
	for name, p := range spec.Programs {
		if p == program {
			return name
		}
	}
	return program.Name
}

// find returns the program with that name, or the only one.
func (o *Object) find(name string) (string, error) {
	all := slices.Sorted(maps.Keys(o.spec.Programs))
	switch {
	case name == "" && len(all) == 1:
		return all[0], nil
	case name == "":
		return "", fmt.Errorf("object %s has %d programs, choose one with -p: %s", o.Name, len(all), strings.Join(all, ", "))
	case o.spec.Programs[name] == nil:
		return "", fmt.Errorf("object %s has no program %q; it has %s", o.Name, name, strings.Join(all, ", "))
	}
	return name, nil
}

// Contents describes what a target file can set before the program runs: the maps that
// the program refers to and whose contents are data, in the object's order, and the
// names of its variables and constants. "" means the only program that can be fuzzed.
// It asks nothing of the kernel.
func (o *Object) Contents(program string) (name string, shapes []corpus.MapShape, variables []string, err error) {
	if name, err = o.choose(program); err != nil {
		return "", nil, nil, err
	}
	for _, m := range mapsOf(o.spec, reachable(o.spec, o.spec.Programs[name])) {
		if strings.HasPrefix(m, ".") {
			continue // a section, whose variables have names
		}
		if shape, ok := newMapShape(m, o.spec.Maps[m]); ok {
			shapes = append(shapes, shape)
		}
	}
	return name, shapes, slices.Sorted(maps.Keys(o.spec.Variables)), nil
}
