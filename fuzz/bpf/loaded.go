package bpf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
)

// Loaded is a program in the kernel that is run as it is, without instrumentation.
// It is safe for concurrent use, except for Close.
type Loaded struct {
	name    string
	prog    *ebpf.Program
	spec    *ebpf.ProgramSpec // of the object, or as much as the kernel says
	row     programType
	refused error // why the type cannot be run; row is empty then
	coll    *ebpf.Collection
	foreign bool // loaded by somebody else
}

// OpenLoaded opens the one program that is in the kernel already and that s means.
// Several are an error that lists their ids.
func OpenLoaded(s Selector) (*Loaded, error) {
	if s == (Selector{}) {
		return nil, errors.New("no program is named: give its id, tag, name or the path at which it is pinned")
	}
	list, err := LoadedPrograms(s)
	if err != nil {
		return nil, err
	}
	if len(list) > 1 {
		ids := make([]string, len(list))
		for i := range list {
			ids[i] = fmt.Sprint(list[i].ID)
		}
		return nil, fmt.Errorf("%d programs have %s: choose one by its id, which are %s", len(list), s, strings.Join(ids, ", "))
	}
	prog, err := openID(ebpf.ProgramID(list[0].ID))
	if err != nil {
		return nil, err
	}
	l := &Loaded{name: list[0].Name, prog: prog, foreign: true}
	if l.name == "" {
		l.name = fmt.Sprintf("program-%d", list[0].ID)
	}
	l.spec = &ebpf.ProgramSpec{Name: l.name, Type: prog.Type()}
	l.row, l.refused = typeOf(l.spec)
	if kind := l.event(); kind != "" {
		l.refused = fmt.Errorf("program %q has type %s, which runs when what it is attached to happens, and a program that is loaded already is not attached once more: give its object", l.name, kind)
	}
	return l, nil
}

// event returns the type of programs that are run by attaching them where their
// object is given, else "". The kernel does not say how a program may be attached.
func (l *Loaded) event() string {
	switch {
	case l.spec.Type == ebpf.Tracing:
		return "tracing"
	case l.refused == nil && l.row.byEvents():
		return l.row.kind
	}
	return ""
}

// LoadPlain loads a program of an object as it is, with the maps and programs that
// it uses. Feedback, MaxSteps and Executor of the options have no meaning here.
func LoadPlain(obj *Object, opts Options) (*Loaded, error) {
	obj, name, err := obj.chooseTyped(opts.Program, opts.Type)
	if err != nil {
		return nil, err
	}
	t := &Target{spec: obj.spec.Copy(), program: name}
	if err := t.setUp(&opts); err != nil {
		return nil, err
	}
	t.reduce(reachable(t.spec, t.spec.Programs[name]))
	if err := t.reuse(opts.Reuse); err != nil {
		return nil, err
	}
	defer t.reused.Close()
	spec := t.spec.Programs[name].Copy()
	dropSockets(t.spec)
	coll, err := ebpf.NewCollectionWithOptions(t.spec, ebpf.CollectionOptions{MapReplacements: t.reused})
	if err != nil {
		return nil, t.explain(err)
	}
	return &Loaded{name: name, prog: coll.Programs[name], spec: spec, row: t.row, coll: coll}, nil
}

// Name returns the program's name.
func (l *Loaded) Name() string { return l.name }

// Foreign reports whether somebody else loaded the program, so that its maps are in
// use.
func (l *Loaded) Foreign() bool { return l.foreign }

// Verdict returns the name of a return value, "" where it has none.
func (l *Loaded) Verdict(ret uint32) string {
	for _, v := range l.row.verdicts {
		if v.Value == ret {
			return v.Name
		}
	}
	return ""
}

// Close gives the program back. The kernel keeps it where it has other users.
func (l *Loaded) Close() error {
	if l.coll != nil {
		l.coll.Close()
		return nil
	}
	return l.prog.Close()
}
