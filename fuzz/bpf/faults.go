package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// faultMap is the name of the map that says which fallible call fails.
const faultMap = "bpffuzz_fault"

// fullErrno is what an update of a map answers when there is no room, 0 for maps that
// have all their entries from the start.
func fullErrno(typ ebpf.MapType) unix.Errno {
	switch typ {
	case ebpf.Hash, ebpf.PerCPUHash, ebpf.HashOfMaps, ebpf.Queue, ebpf.Stack:
		return unix.E2BIG
	case ebpf.LRUHash, ebpf.LRUCPUHash:
		return unix.ENOMEM
	case ebpf.LPMTrie:
		return unix.ENOSPC
	}
	return 0
}

// climbFaults is climbVirtual, once more without faults where the kernel accepts the
// program with them only at the cost of its coverage, or not at all.
func (t *Target) climbFaults(programs []*ebpf.ProgramSpec) error {
	err := t.inLab(t.climb)
	if !t.faults {
		return t.climbVirtual(programs, err)
	}
	switch {
	case err == nil && t.step.Rung < instrument.Half:
		t.shape.Faults = t.plan.Faults()
		if len(t.shape.Faults) == 0 {
			t.notes = append(t.notes, "the program calls no helper that can be made to fail")
		}
		return nil
	case err != nil && !errors.Is(err, errNoRung):
		return err
	}
	t.faults = false
	t.notes = append(t.notes, fmt.Sprintf("the kernel does not accept the program with %d calls that can fail beside its probes, so none is made to", len(t.plan.Faults())))
	if err := t.analyze(programs); err != nil {
		return err
	}
	return t.climbVirtual(programs, t.inLab(t.climb))
}

// addFault adds the map to a collection with instrumented programs.
func (t *Target) addFault(spec *ebpf.CollectionSpec) {
	if t.faults {
		spec.Maps[faultMap] = mappedValue(faultMap, instrument.FaultSize)
	}
}

// openFault maps it into memory.
func (i *instance) openFault() error {
	m := i.coll.Maps[faultMap]
	if m == nil {
		return nil
	}
	mem, err := kernel.MapMemory(m.FD(), instrument.FaultSize)
	if err != nil {
		return fmt.Errorf("faults of inputs: %w", err)
	}
	i.fault = mem
	i.also(func() error { return kernel.Unmap(mem) })
	return nil
}

// setFault makes the n-th fallible call of the next step fail.
func (i *instance) setFault(n uint32) {
	if i.fault != nil {
		instrument.SetFault(i.fault, n)
	}
}

// faulted says which call failed since setFault, see corpus.StepOutcome.
func (i *instance) faulted() uint32 {
	if i.fault == nil {
		return 0
	}
	return instrument.Faulted(i.fault)
}
