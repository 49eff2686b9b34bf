package fuzztest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/expr"
)

// subject is a Target that was loaded.
type subject struct {
	given     *Target
	file      *bpf.TargetFile
	target    *bpf.Target
	oracles   []triage.Oracle
	relations []triage.Relation
	notes     []string

	other   *subject // what it is compared with; nil for nothing
	swapped bool     // it is the second of the two
}

// load makes a program of the kernel a subject.
func load(given *Target) (*subject, error) {
	s := &subject{given: given, file: &bpf.TargetFile{}}
	if given.TargetFile != "" {
		var err error
		if s.file, err = bpf.ReadTargetFile(given.TargetFile); err != nil {
			return nil, err
		}
	}
	obj, err := s.open()
	if err != nil {
		return nil, err
	}
	if s.target, err = bpf.NewTarget(obj, s.options()); err != nil {
		return nil, err
	}
	s.notes = s.target.Notes()
	return s, s.addOracles()
}

// open reads the object.
func (s *subject) open() (*bpf.Object, error) {
	switch {
	case s.given.Spec != nil && s.given.Object != "":
		return nil, fmt.Errorf("target has the object %s and a Spec: choose one", s.given.Object)
	case s.given.Spec != nil:
		return bpf.FromSpec(cmp.Or(s.given.Program, "the collection"), s.given.Spec), nil
	}
	path := cmp.Or(s.given.Object, s.file.Object)
	if path == "" {
		return nil, errors.New("target names no object: set Object, Spec, or TargetFile")
	}
	return bpf.Open(path)
}

func (s *subject) options() bpf.Options {
	return bpf.Options{
		Program: cmp.Or(s.given.Program, s.file.Program), Type: s.file.Type,
		Setup: s.file.Setup().With(s.given.Setup), MaxSteps: cmp.Or(s.given.MaxSteps, s.file.MaxSteps),
		Executor: s.given.Executor, Feedback: s.file.Feedback,
		CheckVerifier: s.given.CheckVerifier,
	}
}

// addOracles adds the built-in oracles, the Func, and the invariants that are
// expressions.
func (s *subject) addOracles() (err error) {
	enable := map[string]bool{}
	maps.Copy(enable, s.file.Oracles)
	maps.Copy(enable, s.given.Oracles)
	opts := triage.OracleOptions{Enable: enable, MaxInsns: cmp.Or(s.given.MaxInsns, s.file.MaxInsns), Invariants: []triage.Oracle{{Name: funcName, Judge: judgeByFunc}}}
	for _, inv := range s.file.Invariants {
		o, err := expr.Compile(inv.Name, inv.Expr, s.target.Shape())
		if err != nil {
			return fmt.Errorf("%s: %w", inv.At, err)
		}
		if inv.Every {
			o.When = triage.Every
		}
		opts.Invariants = append(opts.Invariants, o)
	}
	for _, text := range s.given.Invariants {
		o, err := expr.Compile("", text, s.target.Shape())
		if err != nil {
			return fmt.Errorf("reading invariant %q: %w", text, err)
		}
		opts.Invariants = append(opts.Invariants, o)
	}
	s.oracles, s.relations, err = triage.Oracles(s.target.Shape(), opts)
	return err
}

// funcName is the name of the oracle that the Func of a fuzz target is.
const funcName = "fuzz-function"

func (s *subject) judge() *triage.Judge { return triage.NewJudge(s.oracles, s.relations) }

// seeds reads the seeds that Target and target file name, without those of built-in
// mutators. What cannot be used is a note.
func (s *subject) seeds() ([]*corpus.Input, error) {
	var inputs []*corpus.Input
	for _, path := range append(append([]string(nil), s.given.Seeds...), s.file.Seeds...) {
		read, err := pcap.ReadPath(path, pcap.Options{})
		if err != nil {
			return nil, err
		}
		s.notes = append(s.notes, read.Warnings...)
		for i, in := range read.Inputs {
			fitted, err := mutate.Fit(s.target.Shape(), in)
			if err != nil {
				s.notes = append(s.notes, fmt.Sprintf("input %d of %s is skipped: %v", i+1, filepath.Base(path), err))
				continue
			}
			inputs = append(inputs, fitted)
		}
	}
	contexts, err := s.file.EncodeContexts(s.target.Shape())
	if err != nil {
		return nil, err
	}
	return append(inputs, s.withContexts(inputs, contexts)...), nil
}

// widest is how many seeds get each context of the target file.
const widest = 16

// withContexts returns copies of the first seeds, of a built-in one where there are
// none, with each context.
func (s *subject) withContexts(base []*corpus.Input, contexts [][]byte) (inputs []*corpus.Input) {
	if len(contexts) == 0 {
		return nil
	}
	if len(base) == 0 {
		base = mutate.Seeds(s.target.Shape())
	}
	for _, in := range base[:min(len(base), widest)] {
		for _, context := range contexts {
			in := in.Clone()
			for i := range in.Steps {
				in.Steps[i].Context = append([]byte(nil), context...)
			}
			inputs = append(inputs, in)
		}
	}
	return inputs
}

// name tells subjects of one fuzz target apart.
func (s *subject) name() string { return s.target.Shape().Program }

// missing says what this process or kernel lacks so that nothing can be fuzzed, ""
// for nothing.
func missing() string {
	var names []string
	for _, c := range bpf.Capabilities() {
		if !c.Have {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("running BPF programs needs %s: run as root or grant them", strings.Join(names, ", "))
}
