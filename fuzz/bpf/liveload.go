package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// liveResult is the name of the map in which programs leave what they return.
const liveResult = "bpffuzz_returned"

// newLab returns the lab of a live target, built in the namespace of the calling
// thread, and nil for other targets.
func (t *Target) newLab() (*liveLab, error) {
	if t.live == nil {
		return nil, nil
	}
	return newLiveLab(t.live)
}

// inLab calls do where the target's programs can be loaded: a devmap has to hold
// interfaces that exist, and those of live frames exist in their namespace only.
func (t *Target) inLab(do func() error) error {
	if t.live == nil {
		return do()
	}
	return kernel.Isolated(0, func() error {
		lab, err := t.newLab()
		if err != nil {
			return err
		}
		return errors.Join(do(), lab.Close())
	})
}

// recordResults has programs leave in a map what BPF_PROG_RUN does not return from
// live frames.
func (t *Target) recordResults(spec *ebpf.CollectionSpec) (err error) {
	spec.Maps[liveResult] = &ebpf.MapSpec{
		Name: liveResult, Type: ebpf.Array, KeySize: 4, ValueSize: instrument.ResultSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}
	for _, name := range t.names {
		p := spec.Programs[name]
		if p.Instructions, err = instrument.Results(p.Instructions, liveResult); err != nil {
			return fmt.Errorf("program %q: %w", name, err)
		}
	}
	return nil
}

// mapResult maps what recordResults added.
func (i *instance) mapResult() (err error) {
	i.result, err = kernel.MapMemory(i.coll.Maps[liveResult].FD(), instrument.ResultSize)
	i.also(func() error { return kernel.Unmap(i.result) })
	return err
}

// returned returns what the program returned last.
func (i *instance) returned() uint32 { return binary.NativeEndian.Uint32(i.result) }
