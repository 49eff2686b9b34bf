package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// checkAgain runs findings again and sets their states.
func (f *findingsFlags) checkAgain(ctx context.Context, u *ui, dir *findingsDir, all []*report.Status) error {
	if err := f.choose(dir); err != nil {
		return err
	}
	all, inputs := f.readable(all)
	if len(all) == 0 {
		return nil
	}
	s, err := f.load(u, longest(inputs))
	if stillRejected(err, all) {
		return nil
	}
	if err != nil {
		return err
	}
	return withExecutor(s.target, func(exec fuzz.Executor) error {
		r := &replayer{subject: s, player: newPlayer(exec, s.target.Shape()), repeat: f.repeat}
		for i := range all {
			if err := r.check(ctx, all[i], inputs[i]); err != nil {
				return fmt.Errorf("running finding %s again: %w", all[i].Path, err)
			}
			regress(all[i])
		}
		return nil
	})
}

// readable returns the findings whose inputs can be read, with these. The others stay
// unchecked.
func (f *findingsFlags) readable(all []*report.Status) (readable []*report.Status, inputs []named) {
	for _, s := range all {
		in, err := corpus.ReadFile(filepath.Join(s.Path, "input"))
		if err != nil {
			s.State, s.Detail = report.Unchecked, "its input cannot be read: "+oneLine(err.Error())
			continue
		}
		readable, inputs = append(readable, s), append(inputs, named{name: s.Path, in: in})
		if f.program == "" {
			f.program = s.Program
		}
	}
	return readable, inputs
}

// choose settles which object is run: that of the command line, of the target file,
// or the one that the output directory is about.
func (f *findingsFlags) choose(dir *findingsDir) error {
	var about owner
	if dir.root != "" {
		var err error
		if about, err = readOwner(filepath.Join(dir.root, ownerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if f.config == "" && f.object == "" && exists(about.Config) {
		f.config = about.Config
	}
	given := f.object
	f.object = ""
	var args []string
	switch {
	case given != "":
		args = []string{given}
	case f.config != "":
	case about.Object == "":
		return usageError("no object: %s does not say which one it is about; name the rebuilt object, or a target file with -c", dir.dir)
	case !exists(about.Object):
		return usageError("object %s, which the findings are of, is not there: name the rebuilt object, or a target file with -c", about.Object)
	default:
		args = []string{about.Object}
	}
	_, err := f.read(args)
	return err
}

// check runs a finding again and sets its state.
func (r *replayer) check(ctx context.Context, s *report.Status, one named) error {
	shape := r.subject.target.Shape()
	if s.Program != shape.Program || s.Type != shape.Type {
		s.State, s.Detail = report.Unchecked, fmt.Sprintf("it is about %s (%s), not %s (%s): choose its program with -p, or its object", s.Program, s.Type, shape.Program, shape.Type)
		return nil
	}
	if s.Kind == triage.Rejected {
		s.State, s.Runs = report.Fixed, 1 // it was loaded
		return nil
	}
	if s.Kind == triage.Fatal {
		s.State, s.Detail = report.Unchecked, "its input ends the process or the machine: replay it where that does no harm"
		return nil
	}
	in, err := mutate.Fit(shape, one.in)
	if err != nil {
		s.State, s.Detail = report.Unchecked, "its input cannot be run: "+oneLine(err.Error())
		return nil
	}
	opinions, err := r.opinions(ctx, in)
	if err != nil {
		return err
	}
	s.Runs = r.repeat
	judged(s, opinions)
	return nil
}

// regress tells a finding that fails again after it was fixed from one that still does.
func regress(s *report.Status) {
	if s.Fixed != "" && (s.State == report.Failing || s.State == report.Flaky) {
		s.State = report.Regressed
	}
}

// record notes in the reports which findings are fixed and which fail again, unless a run is at work
// in the directory.
func (d *findingsDir) record(u *ui, all []*report.Status, now time.Time) error {
	if d.root != "" {
		held, err := claimDir(d.root)
		if err != nil {
			u.warn("what was found out is not noted in the findings: %v", err)
			return nil
		}
		defer held.Close()
	}
	for _, s := range all {
		if s.State != report.Fixed && s.State != report.Regressed {
			continue
		}
		changed, err := noteFixed(s.Path, s.State == report.Fixed, now)
		if err != nil {
			return err
		}
		if changed && s.State == report.Fixed {
			s.Fixed, s.Regressed = now.UTC().Format(time.RFC3339), ""
		} else if changed {
			s.Regressed = now.UTC().Format(time.RFC3339)
		}
	}
	return nil
}

// noteFixed notes in the report of a finding whether it is fixed, and reports whether
// that is news.
func noteFixed(path string, fixed bool, now time.Time) (bool, error) {
	b, err := readReport(path)
	if err != nil {
		return false, err
	}
	b, changed, err := report.SetFixed(b, fixed, now)
	if err != nil {
		return false, explainReport(path, err)
	}
	if !changed {
		return false, nil
	}
	if err := writeWhole(filepath.Join(path, "report.json"), b); err != nil {
		return false, fmt.Errorf("noting what became of finding %s: %w", path, explainFull(err))
	}
	return true, nil
}

// judged sets a finding's state by what oracles say.
func judged(s *report.Status, opinions []opinion) {
	s.State = report.Unchecked
	s.Detail = fmt.Sprintf("oracle %s is not asked: give the target file with -c, --invariant, or --oracle", s.Kind)
	var other *opinion
	for i := range opinions {
		o := &opinions[i]
		if o.Name != s.Kind {
			if o.Failing > 0 && other == nil {
				other = o
			}
			continue
		}
		s.Failing, s.Detail = o.Failing, o.Reason
		switch o.Failing {
		case 0:
			s.State = report.Fixed
		case s.Runs:
			s.State = report.Failing
		default:
			s.State = report.Flaky
		}
	}
	if s.State == report.Fixed && other != nil {
		s.State, s.Detail = report.Changed, other.Name+" objects: "+other.Reason
	}
}
