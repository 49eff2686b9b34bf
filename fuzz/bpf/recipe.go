package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/rewrite"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// Recipe says how other loaders run an input of the target as the fuzzer does. Object is
// the file that the target was made of; nil stands for a program that was in the kernel.
// What no other loader can do is among the recipe's limits.
func (t *Target) Recipe(object []byte, in *corpus.Input) (*report.Recipe, error) {
	r := &recipe{Recipe: &report.Recipe{Program: t.program, Load: slices.Clone(t.names)}, t: t}
	if t.loaded != nil || object == nil {
		r.limit("the program was in the kernel already, and there is no object to load it from")
		return r.Recipe, nil
	}
	raw, err := parse(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("reading the object once more: %w", err)
	}
	if !r.loadable(raw) {
		return r.Recipe, nil
	}
	r.faults = slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return s.Fault != 0 })
	if err := r.build(object, raw); err != nil {
		r.limit("%s", err)
		return r.Recipe, nil
	}
	r.others(raw)
	r.contents(raw, in)
	for i := range in.Steps {
		r.step(&in.Steps[i])
	}
	return r.Recipe, nil
}

// recipe is a report.Recipe in the making.
type recipe struct {
	*report.Recipe
	t *Target
	// faults says that a call of some step fails.
	faults bool
}

// limit says why no loader reproduces the input, or only those that are not named.
func (r *recipe) limit(format string, args ...any) { r.limitOf(report.Loaders(), format, args...) }

func (r *recipe) limitOf(exports []string, format string, args ...any) {
	r.Limits = append(r.Limits, report.Limit{Exports: exports, Why: fmt.Sprintf(format, args...)})
}

// loadable reports whether another loader can bring the program to a run.
func (r *recipe) loadable(raw *ebpf.CollectionSpec) bool {
	t := r.t
	prog := raw.Programs[t.program]
	switch {
	case t.live != nil:
		r.limit("frames were live: what becomes of them takes the interfaces that the fuzzer makes")
	case t.row.byEvents(), t.row.tracing, t.row.cause != nil:
		r.limit("programs of type %s run by an event, which the fuzzer causes", t.row.kind)
	case t.row.open != nil && t.row.kind == "struct_ops":
		r.limit("programs of type struct_ops run as a member of a map, which loaders register")
	case len(t.reused) > 0:
		r.limit("it uses maps of the kernel")
	case prog == nil:
		r.limit("the object has no program %q of its own", t.program)
	case prog.AttachType == ebpf.AttachXDPDevMap || prog.AttachType == ebpf.AttachXDPCPUMap:
		r.limit("loaded as its section says, the kernel does not run it with BPF_PROG_RUN")
	default:
		return r.typed(prog) && r.sized(raw)
	}
	return false
}

// typed sees to it that the program has the type that it was run as.
func (r *recipe) typed(prog *ebpf.ProgramSpec) bool {
	if as := r.t.spec.Programs[r.t.program]; as != nil && prog.Type != as.Type {
		r.Kind = uint32(as.Type)
		r.limitOf([]string{"repro.sh"}, "bpftool loads the program as its section says, not as %s", r.t.row.kind)
	}
	return true
}

// sized reports whether the object says how large its maps are.
func (r *recipe) sized(raw *ebpf.CollectionSpec) bool {
	for name := range r.t.spec.Maps {
		m := raw.Maps[name]
		if m == nil || m.MaxEntries > 0 || m.Type == ebpf.PerfEventArray {
			continue
		}
		switch m.Type {
		case ebpf.Arena, ebpf.StructOpsMap, ebpf.SkStorage, ebpf.TaskStorage, ebpf.InodeStorage, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage, ebpf.CgroupStorage:
			continue
		}
		r.limit("the object leaves the size of map %q to its loader", name)
		return false
	}
	return true
}

// build makes the object: with variables as the target file sets them.
func (r *recipe) build(object []byte, raw *ebpf.CollectionSpec) error {
	built := bytes.Clone(object)
	for name, m := range r.t.spec.Maps {
		before := raw.Maps[name]
		if !strings.HasPrefix(name, ".") || before == nil || name == ".kconfig" {
			continue
		}
		was, is := sectionOf(before), sectionOf(m)
		if is == nil || bytes.Equal(was, is) {
			continue
		}
		if strings.HasPrefix(name, ".bss") {
			r.Contents = append(r.Contents, report.Content{Map: name, Key: make([]byte, 4), Value: bytes.Clone(is)})
			continue
		}
		if err := setSection(built, name, is); err != nil {
			return err
		}
	}
	var err error
	if r.t.virtual || r.faults {
		if built, err = r.rewritten(built); err != nil {
			return err
		}
	}
	r.Object = built
	return nil
}

// Sections of data from which an object answers: with virtual helpers the bytes of the step,
// which are stored before it, and the clock; with faults how many calls there are to the one
// that fails, which is stored before each step as well.
const (
	chanceSection = ".data.chance"
	clockSection  = ".data.clock"
	faultSection  = ".data.fault"
)

// rewritten builds in what helpers for time and chance answer, and which calls fail.
func (r *recipe) rewritten(object []byte) ([]byte, error) {
	var data []rewrite.Data
	var chance instrument.Chance
	if r.t.virtual {
		chance = instrument.Chance{Map: chanceSection, Clock: clockSection}
		if r.t.shape.CPUs == 0 {
			chance.CPUs = r.t.machine.cpus
		}
		data = append(data, rewrite.Data{Name: chanceSection, Contents: make([]byte, instrument.ChanceSize)},
			rewrite.Data{Name: clockSection, Contents: instrument.Clock()})
	}
	var faults map[instrument.FaultAt]asm.Instructions
	if r.faults {
		var ambiguous string
		if faults, ambiguous = r.t.plan.FaultCode(faultSection); ambiguous != "" {
			return nil, fmt.Errorf("the call that fails cannot be built into the object: it has two functions %q", ambiguous)
		}
		data = append(data, rewrite.Data{Name: faultSection, Contents: make([]byte, instrument.FaultSize)})
	}
	out, err := rewrite.Calls(object, func(c rewrite.Call) asm.Instructions {
		if code := faults[instrument.FaultAt{Func: c.Func, Slot: c.Slot}]; code != nil {
			return code
		}
		if !r.t.virtual {
			return nil
		}
		return chance.Answer(c.Helper)
	}, data)
	if err != nil {
		return nil, fmt.Errorf("what the input brings besides its packet cannot be built into the object: %w", err)
	}
	return out, nil
}

// sectionOf returns the contents of a map of global data.
func sectionOf(m *ebpf.MapSpec) []byte {
	if len(m.Contents) != 1 {
		return nil
	}
	return bytesOf(m.Contents[0].Value)
}

// mostOthers is how many further programs of an object are tried.
const mostOthers = 32

// others says so where bpftool, which loads every program of an object, meets one that the
// kernel rejects.
func (r *recipe) others(raw *ebpf.CollectionSpec) {
	var names []string
	for name := range raw.Programs {
		if !slices.Contains(r.Load, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 || len(names) > mostOthers {
		return
	}
	slices.Sort(names)
	if name := r.t.siblings.rejected(raw, names); name != "" {
		r.limitOf([]string{"repro.sh"}, "bpftool loads every program of the object, and this kernel does not accept program %q", name)
	}
}

// siblings are the other programs of a target's object, which are tried once.
type siblings struct {
	once sync.Once
	bad  string
}

// rejected returns the first of the programs that does not load, "" when all do.
func (s *siblings) rejected(raw *ebpf.CollectionSpec, names []string) string {
	s.once.Do(func() {
		for _, name := range names {
			one := raw.Copy()
			maps.DeleteFunc(one.Programs, func(other string, _ *ebpf.ProgramSpec) bool { return other != name })
			for _, m := range one.Maps {
				m.Pinning = ebpf.PinNone
			}
			coll, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogDisabled: true}})
			if err != nil {
				s.bad = name
				return
			}
			coll.Close()
		}
	})
	return s.bad
}

// contents lists what is in the maps before the first step: that of the target file, then
// that of the input.
func (r *recipe) contents(raw *ebpf.CollectionSpec, in *corpus.Input) {
	for _, name := range mapOrder(r.t.spec) {
		m, before := r.t.spec.Maps[name], raw.Maps[name]
		if strings.HasPrefix(name, ".") || before == nil || m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps {
			continue
		}
		for _, kv := range m.Contents {
			c := report.Content{Map: name, Key: bytesOf(kv.Key), PerCPU: isPerCPU(before.Type)}
			switch v := kv.Value.(type) {
			case string:
				c.Program = v
				if !slices.Contains(r.Load, v) {
					r.Load = append(r.Load, v)
				}
			case socketKind:
				r.limit("map %q holds sockets, which the fuzzer opens", name)
				return
			case [][]byte:
				c.Value = v[0]
			default:
				c.Value = bytesOf(v)
			}
			r.Contents = append(r.Contents, c)
		}
	}
	for i := range in.Maps {
		e := &in.Maps[i]
		perCPU := raw.Maps[e.Map] != nil && isPerCPU(raw.Maps[e.Map].Type)
		r.Contents = append(r.Contents, report.Content{Map: e.Map, Key: e.Key, Value: e.Value, PerCPU: perCPU})
	}
}

// step adds a call with what the kernel is given for a step.
func (r *recipe) step(s *corpus.Step) {
	row := &r.t.row
	c := report.Call{
		Flags: s.Flags, CPU: uint32(s.CPU), Hidden: row.hidden,
		GivesData: !row.noPacket && row.result != noResult, GivesContext: row.answer == copiedAnswer && row.contextSize > 0,
	}
	if r.t.virtual {
		value := make([]byte, instrument.ChanceSize)
		instrument.SetChance(value, s.Chance)
		c.Before = append(c.Before, report.Content{Map: chanceSection, Key: make([]byte, 4), Value: value})
	}
	if r.faults {
		value := make([]byte, instrument.FaultSize)
		instrument.SetFault(value, s.Fault)
		c.Before = append(c.Before, report.Content{Map: faultSection, Key: make([]byte, 4), Value: value})
	}
	if size := r.t.shape.ContextSize; size > 0 && (c.GivesContext || row.needsContext || len(s.Context)+len(s.Meta) > 0) {
		c.Context = make([]byte, size)
		copy(c.Context, s.Context)
		row.fixContext(r.t.shape, c.Context, s.Packet, len(s.Meta))
	}
	if !row.noPacket {
		c.Data = append(bytes.Clone(s.Meta), s.Packet...)
		if row.headerless != nil && row.headerless(c.Context) {
			c.Data = c.Data[min(ethernet, len(c.Data)):]
		}
	}
	if s.Flags != 0 {
		r.limitOf([]string{"repro.sh"}, "bpftool passes no flags to BPF_PROG_RUN, and the input has %#x", s.Flags)
	}
	if name := r.elsewhere(c.Context); name != "" {
		r.limit("%s is an interface that the fuzzer makes", name)
	}
	r.Calls = append(r.Calls, c)
}

// elsewhere names the field of a context that is an interface other than lo.
func (r *recipe) elsewhere(ctx []byte) string {
	for _, f := range r.t.shape.Context {
		if !strings.HasSuffix(f.Name, "ifindex") || f.Offset+4 > len(ctx) || f.Size != 4 {
			continue
		}
		if binary.NativeEndian.Uint32(ctx[f.Offset:]) > lo {
			return f.Name
		}
	}
	return ""
}
