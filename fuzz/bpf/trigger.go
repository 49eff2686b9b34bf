package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	events "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/trigger"
)

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

// leavesResults reports whether the programs leave in a map what nobody else says
// that they returned.
func (t *Target) leavesResults() bool { return t.live != nil || t.row.trigger != nil }

// armed is an instance whose program some event runs.
type armed struct {
	*instance
	kind   *events.Kind
	attach ebpf.AttachType
	name   string
	fire   events.Trigger
}

// arm loads a variant. It is not attached yet.
func (t *Target) arm(variant instrument.Variant) (*armed, error) {
	inst, err := t.loadOnly(variant)
	if err != nil {
		return nil, err
	}
	return &armed{instance: inst, kind: t.row.trigger, attach: t.spec.Programs[t.program].AttachType, name: t.program}, nil
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
	return errors.Join(a.stop(), a.instance.Close())
}
