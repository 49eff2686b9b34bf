package bpf

import (
	"errors"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// ones fills memory that the program has not written where it is not filled with zeros:
// what tests a variable for zero, or nearly any bit of it, goes the other way. No 16 bits
// of it are all ones, which count like zeros in an Internet checksum.
const ones = 0xfff7_fffb_fffd_fffe

// findPoison finds out what memory of the programs can be filled, by trial.
func (t *Target) findPoison() error {
	poison := uint32(0)
	if t.plan.UsesStack() {
		poison |= corpus.OtherStack
	}
	if t.row.meta && t.plan.GrowsHead() {
		poison |= corpus.OtherHeadroom
	}
	if poison == 0 || t.row.cause != nil || t.row.trigger != nil || t.live != nil {
		return nil
	}
	inst, err := t.loadOnly(instrument.Poison)
	if _, rejected := errors.AsType[*RejectedError](err); rejected {
		t.notes = append(t.notes, "the kernel does not accept the program with code that fills its stack: what depends on memory that was never written is found by chance only")
		return nil
	}
	if err != nil {
		return err
	}
	t.shape.Poison = poison
	return inst.Close()
}

// instanceFor returns what runs an input alone.
func (e *executor) instanceFor(in *corpus.Input) (*instance, error) {
	poisoned := func(s corpus.Step) bool { return s.Flags&corpus.Poisoned != 0 }
	if e.target.shape.Poison == 0 || !slices.ContainsFunc(in.Steps, poisoned) {
		return e.hot, nil
	}
	if e.poison == nil {
		inst, err := e.target.load(instrument.Poison)
		if err != nil {
			return nil, err
		}
		e.poison = inst
	}
	return e.poison, nil
}

// setPoison chooses what memory is filled with before the next step.
func (i *instance) setPoison(flags uint32) {
	if !i.poisons {
		return
	}
	stack, headroom := uint64(0), uint64(0)
	if flags&corpus.OtherStack != 0 {
		stack = ones
	}
	if flags&corpus.OtherHeadroom != 0 {
		headroom = ones
	}
	i.layout.SetPoison(i.mem, stack, headroom)
}
