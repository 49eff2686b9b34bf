package bpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// programType is what BPF_PROG_RUN accepts from, and what it may get back from,
// the programs of one type.
type programType struct {
	// kind is the name as bpftool prints it.
	kind string
	// contextSize is the size of the context structure in bytes.
	contextSize int
	// context lists fields that may be set, given the largest packet.
	context func(largest int) []corpus.Field
	// output lists fields of the context after a run.
	output []corpus.Field
	// minIPv4 and minIPv6 are the smallest packets by ethertype; 0 for no difference.
	minIPv4, minIPv6 int
	// meta says that metadata may precede the packet, frags that packets may be
	// larger than the linear part where the program says it can take it.
	meta, frags bool
	verdicts    []corpus.Verdict
	closed      bool
	// fix makes a context legal that consists of legal fields, for a packet and
	// metadata of these lengths.
	fix func(ctx []byte, packet, meta int)
}

// programTypes has a row for each program type that can be run.
func programTypes() map[ebpf.ProgramType]programType {
	skb := programType{
		contextSize: skbSize, context: skbContext, output: skbOutput(), fix: fixSkb,
		minIPv4: 34, minIPv6: 54,
		verdicts: tcVerdicts(), closed: true,
	}
	cls, act := skb, skb
	cls.kind, act.kind = "sched_cls", "sched_act"
	return map[ebpf.ProgramType]programType{
		ebpf.SchedCLS: cls,
		ebpf.SchedACT: act,
		ebpf.XDP: {
			kind: "xdp", contextSize: xdpSize, context: xdpContext, output: xdpOutput(), fix: fixXDP,
			meta: true, frags: true,
			verdicts: xdpVerdicts(), closed: true,
		},
	}
}

// typeOf returns the row of prog's type, or an error that names the type.
func typeOf(prog *ebpf.ProgramSpec) (programType, error) {
	types := programTypes()
	row, ok := types[prog.Type]
	if ok {
		return row, nil
	}
	var kinds []string
	for _, t := range types {
		kinds = append(kinds, t.kind)
	}
	slices.Sort(kinds)
	return programType{}, fmt.Errorf("program %q has type %s, which cannot be run yet: choose one of type %s",
		prog.Name, prog.Type, strings.Join(kinds, ", "))
}

// newShape describes the inputs and outcomes of prog, a program of spec. Prog
// arrays are followed through their initial contents, so tail calls must be in
// there already, as must the initial contents of other maps.
func newShape(spec *ebpf.CollectionSpec, prog *ebpf.ProgramSpec, lim kernel.Limits) (*corpus.Shape, error) {
	row, err := typeOf(prog)
	if err != nil {
		return nil, err
	}
	programs := reachable(spec, prog)
	shape := &corpus.Shape{
		Program:     prog.Name,
		Type:        row.kind,
		Packet:      corpus.Bounds{Min: lim.Min, Max: lim.Max},
		MinIPv4:     row.minIPv4,
		MinIPv6:     row.minIPv6,
		ContextSize: row.contextSize,
		Output:      row.output,
		Verdicts:    row.verdicts,
		Closed:      row.closed,
		Dictionary:  newDictionary(spec, programs),
	}
	if row.frags && lim.Frags > 0 && prog.Flags&unix.BPF_F_XDP_HAS_FRAGS != 0 {
		shape.Packet.Max = lim.Frags
	}
	if row.meta {
		shape.Meta.Max = lim.Meta &^ 3
	}
	shape.Context = row.context(shape.Packet.Max)
	for _, name := range mapsOf(spec, programs) {
		if m, ok := newMapShape(name, spec.Maps[name]); ok {
			shape.Maps = append(shape.Maps, m)
		}
	}
	return shape, nil
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

func xdpVerdicts() []corpus.Verdict {
	return []corpus.Verdict{
		{Value: 0, Name: "XDP_ABORTED"},
		{Value: 1, Name: "XDP_DROP"},
		{Value: 2, Name: "XDP_PASS"},
		{Value: 3, Name: "XDP_TX"},
		{Value: 4, Name: "XDP_REDIRECT"},
	}
}

func tcVerdicts() []corpus.Verdict {
	return []corpus.Verdict{
		{Value: 0xffffffff, Name: "TC_ACT_UNSPEC"},
		{Value: 0, Name: "TC_ACT_OK"},
		{Value: 1, Name: "TC_ACT_RECLASSIFY"},
		{Value: 2, Name: "TC_ACT_SHOT"},
		{Value: 3, Name: "TC_ACT_PIPE"},
		{Value: 4, Name: "TC_ACT_STOLEN"},
		{Value: 5, Name: "TC_ACT_QUEUED"},
		{Value: 6, Name: "TC_ACT_REPEAT"},
		{Value: 7, Name: "TC_ACT_REDIRECT"},
		{Value: 8, Name: "TC_ACT_TRAP"},
	}
}
