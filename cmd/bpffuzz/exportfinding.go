package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// exportFlags are the flags of export.
type exportFlags struct {
	targetFlags
	to, raw, pcap string
	payload       bool // of pcap
	finding       string
}

// errPasses says that a finding fails no more, or not as it did.
var errPasses = errors.New("its input does not fail as it did")

// exportFinding writes reports and exports of findings that are there: args may name the
// object.
func (f *exportFlags) exportFinding(ctx context.Context, u *ui, args []string) error {
	if len(args) > 1 {
		return usageError("%d arguments besides --finding: name the object at most", len(args))
	}
	dir, err := openFindings(f.finding)
	if err != nil {
		return err
	}
	all, left, err := dir.read(dir.key)
	if err != nil {
		return err
	}
	for _, err := range left {
		u.warn("%v", err)
	}
	if len(all) == 0 {
		return fmt.Errorf("no finding in %s", dir.dir)
	}
	inputs, err := f.about(dir, all, args)
	if err != nil {
		return err
	}
	s, err := f.load(u, longest(inputs))
	if err != nil {
		return err
	}
	return withExecutor(s.target, func(exec fuzz.Executor) error {
		p := newPlayer(exec, s.target.Shape())
		for i, status := range all {
			err := f.rewrite(ctx, s, p, status, inputs[i].in)
			if errors.Is(err, errPasses) {
				u.warn("%s stays as it is: %v", status.Path, err)
				continue
			}
			if err != nil {
				return fmt.Errorf("exporting finding %s: %w", status.Path, err)
			}
			u.say("reports and exports written to %s", status.Path)
		}
		return nil
	})
}

// about settles which program the findings are of, and reads their inputs.
func (f *exportFlags) about(dir *findingsDir, all []*report.Status, args []string) ([]named, error) {
	chosen := &findingsFlags{targetFlags: f.targetFlags}
	if len(args) > 0 {
		chosen.object = args[0]
	}
	if err := chosen.choose(dir); err != nil {
		return nil, err
	}
	f.targetFlags = chosen.targetFlags
	inputs := make([]named, len(all))
	for i, s := range all {
		in, err := corpus.ReadFile(filepath.Join(s.Path, "input"))
		if err != nil {
			return nil, fmt.Errorf("reading finding %s: %w", s.Path, err)
		}
		inputs[i] = named{name: s.Path, in: in}
		if f.program == "" {
			f.program = s.Program
		}
	}
	return inputs, nil
}

// rewrite runs a finding and writes its files anew, but for the inputs and what people
// and runs have noted since.
func (f *exportFlags) rewrite(ctx context.Context, s *subject, p *player, status *report.Status, in *corpus.Input) error {
	shape := s.target.Shape()
	if status.Program != shape.Program || status.Type != shape.Type || status.Kind == triage.Fatal {
		return fmt.Errorf("%w: it is about %s (%s), and ran as %s (%s)", errPasses, status.Program, status.Type, shape.Program, shape.Type)
	}
	in, err := mutate.Fit(shape, in)
	if err != nil {
		return fmt.Errorf("%w: %w", errPasses, err)
	}
	found, err := triage.Investigate(ctx, p.rerun, s.judge(), in, triage.Options{
		Table: s.target.Table(), Shape: shape, Recreate: p.exec.Recreate, MaxExecs: -1,
	}, func(key string) bool { return key != status.Key })
	if errors.Is(err, triage.ErrUnconfirmed) || errors.Is(err, triage.ErrKnown) {
		return fmt.Errorf("%w: %w", errPasses, err)
	}
	if err != nil {
		return err
	}
	old, err := readReport(status.Path)
	if err != nil {
		return err
	}
	var was struct{ Executions int }
	if err := json.Unmarshal(old, &was); err != nil {
		return explainReport(status.Path, err)
	}
	found.Executions, found.Count = was.Executions, status.Count
	if original, err := corpus.ReadFile(filepath.Join(status.Path, "original")); err == nil {
		found.Original = original
	}
	files, err := report.Render(found, report.Options{
		Command: replayCommand(&f.targetFlags), Path: func(string) string { return status.Path }, Recipe: f.recipe(s),
	})
	if err != nil {
		return err
	}
	if files["report.json"], err = report.Renew(old, files["report.json"]); err != nil {
		return explainReport(status.Path, err)
	}
	return writeFiles(status.Path, files)
}

// writeFiles replaces files of a finding, each whole.
func writeFiles(dir string, files map[string][]byte) error {
	var names []string
	for name := range files {
		if name != "original" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := writeWhole(filepath.Join(dir, name), files[name]); err != nil {
			return fmt.Errorf("writing %s: %w", name, explainFull(err))
		}
	}
	return nil
}
