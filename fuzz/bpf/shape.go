package bpf

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// shape describes the inputs and outcomes of prog, a program of spec and of the row,
// in a namespace with that network. Prog arrays are followed through their initial
// contents, so tail calls must be in there already, as must the initial contents of
// other maps.
func (row *programType) shape(spec *ebpf.CollectionSpec, prog *ebpf.ProgramSpec, lim kernel.Limits, n *machine) *corpus.Shape {
	programs := reachable(spec, prog)
	shape := &corpus.Shape{
		Program:     prog.Name,
		Type:        row.kind,
		Hidden:      row.hidden,
		NoResult:    row.result != packetResult,
		MinIPv4:     row.minIPv4,
		MinIPv6:     row.minIPv6,
		ContextSize: row.contextSize,
		Output:      row.output,
		Verdicts:    row.verdicts,
		Closed:      row.closed,
		Flags:       row.flags,
		Dictionary:  newDictionary(spec, programs),
		Assertions:  assertions(spec, programs),
		Payload:     row.trigger != nil && row.trigger.Payload || row.cause != nil && row.cause.payload,
	}
	row.setLimits(shape, prog, lim)
	if row.flags&corpus.OnCPU != 0 && n != nil {
		shape.CPUs = n.cpus
	}
	shape.Context = row.context(shape.Packet.Max, n)
	for _, name := range mapsOf(spec, programs) {
		if m, ok := newMapShape(name, spec.Maps[name]); ok {
			shape.Maps = append(shape.Maps, m)
		} else if m, ok := newTable(name, spec.Maps[name]); ok {
			shape.Tables = append(shape.Tables, m)
		}
	}
	return shape
}

// limits are the sizes that the program's type takes.
func (row *programType) limits(prog *ebpf.ProgramSpec) (kernel.Limits, error) {
	switch {
	case row.trigger != nil:
		return kernel.Limits{Min: row.trigger.Packet.Min, Max: row.trigger.Packet.Max}, nil
	case row.noPacket:
		return kernel.Limits{}, nil
	case row.cause != nil:
		return kernel.Limits{Min: row.cause.packet.Min, Max: row.cause.packet.Max}, nil
	}
	return kernel.MeasureLimits(prog.Type)
}

// setLimits sets the sizes of packets and metadata.
func (row *programType) setLimits(shape *corpus.Shape, prog *ebpf.ProgramSpec, lim kernel.Limits) {
	if row.noPacket {
		return
	}
	shape.Packet = corpus.Bounds{Min: lim.Min, Max: lim.Max}
	if row.headerless != nil {
		shape.Packet.Min += ethernet
	}
	if row.frags && lim.Frags > 0 && prog.Flags&unix.BPF_F_XDP_HAS_FRAGS != 0 {
		shape.Packet.Max, shape.Pieces = lim.Frags, true
	}
	if row.meta {
		shape.Meta.Max = lim.Meta &^ 3
	}
}

// reachable returns prog and the programs that it may tail-call, in the order in
// which they are found.
func reachable(spec *ebpf.CollectionSpec, prog *ebpf.ProgramSpec) []*ebpf.ProgramSpec {
	found := []*ebpf.ProgramSpec{prog}
	for i := 0; i < len(found); i++ {
		for _, name := range mapsOf(spec, found[i:i+1]) {
			m := spec.Maps[name]
			if m.Type != ebpf.ProgramArray {
				continue
			}
			for _, kv := range m.Contents {
				callee, _ := kv.Value.(string)
				if p := spec.Programs[callee]; p != nil && !slices.Contains(found, p) {
					found = append(found, p)
				}
			}
		}
	}
	return found
}

// mapsOf returns the names of the maps that programs refer to, in the object's order.
func mapsOf(spec *ebpf.CollectionSpec, programs []*ebpf.ProgramSpec) []string {
	used := map[string]bool{}
	for _, p := range programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			if name := ins.Reference(); ins.IsLoadFromMap() && spec.Maps[name] != nil {
				used[name] = true
			}
		}
	}
	var names []string
	for _, name := range mapOrder(spec) {
		if used[name] {
			names = append(names, name)
		}
	}
	return names
}

// mapOrder returns the names of all maps: those with BTF as the object's .maps
// section has them, then the others by name.
func mapOrder(spec *ebpf.CollectionSpec) []string {
	var declared []string
	if spec.Types != nil {
		var sec *btf.Datasec
		if err := spec.Types.TypeByName(".maps", &sec); err == nil {
			vars := slices.Clone(sec.Vars)
			slices.SortStableFunc(vars, func(a, b btf.VarSecinfo) int { return int(int64(a.Offset) - int64(b.Offset)) })
			for _, v := range vars {
				if name := v.Type.TypeName(); spec.Maps[name] != nil {
					declared = append(declared, name)
				}
			}
		}
	}
	var others []string
	for name := range spec.Maps {
		if !slices.Contains(declared, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(declared, others...)
}
