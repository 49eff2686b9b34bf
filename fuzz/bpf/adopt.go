package bpf

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// NewLoadedTarget makes a target of a program that is in the kernel already. It
// cannot be instrumented, so only the feedback maps guide the fuzzer; its maps are
// in use, so nothing is put back between inputs. Of the options Feedback, MaxSteps
// and Executor count. The program must stay open as long as the target is used.
func NewLoadedTarget(l *Loaded, opts Options) (*Target, error) {
	if l.refused != nil {
		return nil, l.refused
	}
	if opts.CheckVerifier {
		return nil, fmt.Errorf("program %q is loaded already, and what the verifier said then is gone: check its claims with the object that it was loaded from", l.name)
	}
	if opts.Faults {
		return nil, fmt.Errorf("program %q is loaded already, and no call of it can be made to fail: leave faults off, or give the object that it was loaded from", l.name)
	}
	row, note, err := l.typed()
	if err != nil {
		return nil, err
	}
	t := &Target{
		row: row, program: l.name, loaded: l, mode: opts.Executor, table: &cover.Table{},
		spec: &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{l.name: l.spec}},
		notes: []string{
			fmt.Sprintf("program %q was loaded by somebody else and is run as it is, without instrumentation", l.name),
			"its maps are in use: a private network namespace does not keep apart what runs write to them, and nothing is put back between inputs",
		},
	}
	if opts.Live != nil {
		return nil, errors.New("live frames of a program that is loaded already cannot be observed: give the object")
	}
	if t.mode == executorBatch {
		return nil, fmt.Errorf("batches need code in front of the program, and program %q is loaded already: choose executor %s", l.name, executorSingle)
	}
	t.mode = executorSingle
	if note != "" {
		t.notes = append(t.notes, fmt.Sprintf("program %q: %s", l.name, note))
	}
	if t.machine.cpus, err = ebpf.PossibleCPU(); err != nil {
		return nil, fmt.Errorf("counting the processors: %w", err)
	}
	if err := t.describe(nil, opts.MaxSteps); err != nil {
		return nil, err
	}
	t.shape.Dictionary = l.dictionary()
	t.explainLoadedChance()
	return t, t.addLoadedFeedback(opts.Feedback)
}

// dictionary collects what the program compares with from the instructions that the
// verifier left. It is empty where the kernel hides them.
func (l *Loaded) dictionary() [][]byte {
	info, err := l.prog.Info()
	if err != nil {
		return nil
	}
	insns, err := info.Instructions()
	if err != nil {
		return nil
	}
	return newDictionary(emptySpec(), []*ebpf.ProgramSpec{{Instructions: insns}})
}

// addLoadedFeedback is addFeedback for a program that is loaded already.
func (t *Target) addLoadedFeedback(names []string) error {
	open, err := t.loaded.openMaps()
	if err != nil {
		return err
	}
	defer open.Close()
	kept, err := open.only(t.program, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		m := kept[name]
		feed, err := newFeedbackMap(name, m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries(), t.machine.cpus)
		if err != nil {
			return err
		}
		t.feed = append(t.feed, feed)
	}
	return t.guide()
}

// adopt makes an instance of a program that is loaded already. There is no other
// variant of it than the one that is there.
func (t *Target) adopt(variant instrument.Variant) (*instance, error) {
	if variant != instrument.Cover {
		return nil, &RejectedError{Program: t.program, Err: errors.New("it is loaded already")}
	}
	inst := &instance{
		coll:  &ebpf.Collection{Maps: map[string]*ebpf.Map{}},
		run:   kernel.NewRun(t.loaded.prog.FD()),
		state: &mapState{maps: map[string]restorer{}},
	}
	if err := t.openAdopted(inst); err != nil {
		return nil, errors.Join(err, inst.Close())
	}
	return inst, nil
}

// openAdopted opens what the instance needs beside the program: its feedback maps,
// and memory for what arguments point to.
func (t *Target) openAdopted(inst *instance) error {
	if t.row.open != nil {
		if err := t.row.open(t, inst); err != nil {
			return err
		}
	}
	if len(t.feed) == 0 {
		return nil
	}
	open, err := t.loaded.openMaps()
	if err != nil {
		return err
	}
	var names []string
	for i := range t.feed {
		names = append(names, t.feed[i].name)
	}
	kept, err := open.only(t.program, names)
	if err != nil {
		return errors.Join(err, open.Close())
	}
	inst.coll.Maps = kept // which closes them
	for _, m := range kept {
		maps.DeleteFunc(open, func(_ string, other *ebpf.Map) bool { return other == m })
	}
	return open.Close()
}

// shared reports whether a map is somebody else's, and so left as runs leave it.
func (t *Target) shared(name string) bool { return t.reused[name] != nil }
