package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// instance is one loaded variant of a target with maps of its own.
type instance struct {
	coll   *ebpf.Collection
	layout instrument.Layout
	mem    []byte // the coverage map's value
	run    *kernel.Run
	state  *mapState
	// passing is not nil where contexts are of arguments, cause where an event is
	// caused in place of BPF_PROG_RUN.
	passing *passing
	cause   func(ctx, packet []byte) error
	gate    *threadGate // nil where the program is not attached
	feed    *feedback   // nil where edges alone guide
	chance  []byte      // the value of the map of virtual helpers, nil where there are none
	fault   []byte      // the value of the map of faults, nil where there are none
	closers []func() error
	stderr  []*kernel.Stderr
	poisons bool   // what memory is filled with has to be said
	result  []byte // of the last run, where BPF_PROG_RUN does not return it
}

// also has Close call what gives back something of the instance.
func (i *instance) also(closer func() error) { i.closers = append(i.closers, closer) }

// load loads a variant at the target's rung and readies it to be run by the calling
// thread, in its namespace.
func (t *Target) load(variant instrument.Variant) (*instance, error) {
	if t.loaded != nil {
		return t.adopt(variant)
	}
	inst, err := t.loadOnly(variant)
	if err != nil {
		return nil, err
	}
	if t.row.sockets {
		err = inst.fillSockets(t)
	}
	if err == nil && t.row.open != nil {
		err = t.row.open(t, inst)
	}
	if err != nil {
		return nil, errors.Join(err, inst.Close())
	}
	return inst, nil
}

// loadOnly loads a variant at the target's rung, and touches nothing outside of its
// own maps.
func (t *Target) loadOnly(variant instrument.Variant) (*instance, error) {
	spec, err := t.rewritten(variant)
	if err != nil {
		return nil, err
	}
	inst, err := t.instantiate(spec, t.plan.Layout(t.stepOf(variant).Rung, variant), "", nil)
	if err != nil {
		return nil, err
	}
	inst.poisons = variant == instrument.Poison
	return inst, nil
}

// instantiate loads a collection whose coverage map has that layout. The map of the
// given name, "" for none, is one that is there already.
func (t *Target) instantiate(spec *ebpf.CollectionSpec, layout instrument.Layout, name string, m *ebpf.Map) (*instance, error) {
	replaced := t.reused
	if m != nil {
		replaced = maps.Clone(t.reused)
		if replaced == nil {
			replaced = reusedMaps{}
		}
		replaced[name] = m
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: replaced, Programs: ebpf.ProgramOptions{LogDisabled: true},
	})
	if err != nil {
		return nil, t.explain(err)
	}
	inst := &instance{coll: coll, layout: layout, run: kernel.NewRun(coll.Programs[t.program].FD())}
	if err := inst.open(t, spec); err != nil {
		return nil, errors.Join(err, inst.Close())
	}
	return inst, nil
}

// rewritten returns the collection with instrumented programs and their map.
func (t *Target) rewritten(variant instrument.Variant) (*ebpf.CollectionSpec, error) {
	step := t.stepOf(variant)
	code, err := t.plan.Rewrite(step.Rung, variant, coverMap)
	if err != nil {
		return nil, err
	}
	spec := t.spec.Copy()
	dropSockets(spec)
	for i, name := range t.names {
		spec.Programs[name].Instructions = code[i]
		spec.Programs[name].Flags |= step.Flags
	}
	if t.leavesResults() {
		if err := t.recordResults(spec); err != nil {
			return nil, err
		}
	}
	if t.row.gated {
		spec.Programs[t.program].Instructions = gate(spec.Programs[t.program].Instructions)
		spec.Maps[gateMap] = newGateMap()
	}
	spec.Maps[coverMap] = &ebpf.MapSpec{
		Name: coverMap, Type: ebpf.Array, KeySize: 4, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
		ValueSize: uint32(t.plan.Layout(step.Rung, variant).Size),
	}
	t.addChance(spec)
	t.addFault(spec)
	return spec, nil
}

func (i *instance) open(t *Target, spec *ebpf.CollectionSpec) (err error) {
	if i.mem, err = kernel.MapMemory(i.coll.Maps[coverMap].FD(), i.layout.Size); err != nil {
		return err
	}
	if t.leavesResults() {
		if err := i.mapResult(); err != nil {
			return err
		}
	}
	if err := errors.Join(i.openChance(), i.openFault(), i.openStderr(t)); err != nil {
		return err
	}
	i.state, err = newMapState(t, spec, i)
	return err
}

// Close gives back programs, maps and memory.
func (i *instance) Close() error {
	if i == nil {
		return nil
	}
	err := kernel.Unmap(i.mem)
	for _, closer := range slices.Backward(i.closers) {
		err = errors.Join(err, closer())
	}
	if i.state != nil {
		err = errors.Join(err, i.state.Close())
	}
	i.coll.Close()
	return err
}

// errRestore wraps what the kernel answers when map contents cannot be put back.
func errRestore(name, what string, errno syscall.Errno) error {
	return fmt.Errorf("restoring map %q: %s: %w", name, what, errno)
}
