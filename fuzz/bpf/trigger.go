package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	events "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/trigger"
)

// resultMap is the name of the map in which programs that need a trigger leave what
// they return.
const resultMap = "bpffuzz_result"

// triggerType returns the row of a type that BPF_PROG_RUN refuses but that has a
// trigger.
func triggerType(prog *ebpf.ProgramSpec) (programType, error) {
	kind, err := events.For(prog.Type, prog.AttachType)
	if err != nil {
		return programType{}, err
	}
	return programType{
		kind: kind.Name, trigger: &kind,
		contextSize: events.ContextSize,
		context:     func(int, *machine) []corpus.Field { return kind.Fields },
		output:      events.Output(),
		verdicts:    kind.Verdicts, closed: len(kind.Verdicts) > 0,
		fix: noFix,
	}, nil
}

// armed is an instance whose program some event runs.
type armed struct {
	*instance
	kind   *events.Kind
	attach ebpf.AttachType
	name   string
	result []byte // the result map's value
	fire   events.Trigger
}

// arm loads a variant that records what it returns. It is not attached yet.
func (t *Target) arm(variant instrument.Variant) (_ *armed, err error) {
	spec, err := t.rewritten(variant)
	if err != nil {
		return nil, err
	}
	spec.Maps[resultMap] = &ebpf.MapSpec{
		Name: resultMap, Type: ebpf.Array, KeySize: 4, ValueSize: instrument.ResultSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}
	for _, name := range t.names {
		p := spec.Programs[name]
		if p.Instructions, err = instrument.Results(p.Instructions, resultMap); err != nil {
			return nil, fmt.Errorf("program %q: %w", name, err)
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: t.reused, Programs: ebpf.ProgramOptions{LogDisabled: true}})
	if err != nil {
		return nil, t.explain(err)
	}
	a := &armed{
		kind: t.row.trigger, attach: spec.Programs[t.program].AttachType, name: t.program,
		instance: &instance{coll: coll, layout: t.plan.Layout(t.step.Rung, variant), run: kernel.NewRun(coll.Programs[t.program].FD())},
	}
	if err := a.open(t, spec); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if a.result, err = kernel.MapMemory(coll.Maps[resultMap].FD(), instrument.ResultSize); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// start attaches the program.
func (a *armed) start() (err error) {
	a.fire, err = a.kind.Start(events.Program{
		Program: a.coll.Programs[a.name], Attach: a.attach, Maps: a.coll.Maps, Last: a.last,
	})
	if err != nil {
		return fmt.Errorf("attaching program %q, a %s: %w%s", a.name, a.kind.Name, err, kernel.Explain(err))
	}
	return nil
}

// stop detaches the program.
func (a *armed) stop() error {
	if a.fire == nil {
		return nil
	}
	err := a.fire.Close()
	a.fire = nil
	return err
}

// last implements trigger.Program.Last.
func (a *armed) last() (ret, runs uint32) {
	return binary.NativeEndian.Uint32(a.result), binary.NativeEndian.Uint32(a.result[4:])
}

// Close detaches the program and gives everything back.
func (a *armed) Close() error {
	if a == nil {
		return nil
	}
	err := a.stop()
	if a.result != nil {
		err = errors.Join(err, kernel.Unmap(a.result))
	}
	return errors.Join(err, a.instance.Close())
}
