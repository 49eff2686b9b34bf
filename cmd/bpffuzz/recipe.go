package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// recipe returns the recipe of a finding's exports, for report.Options. The object is
// read now: it may be built again, or be gone, when something is found.
func (f *targetFlags) recipe(s *subject) func(*triage.Finding) (*report.Recipe, error) {
	var object []byte
	var unread error
	if !f.kernel.loaded() {
		object, unread = os.ReadFile(s.path)
	}
	return func(found *triage.Finding) (*report.Recipe, error) {
		r, err := s.target.Recipe(object, found.Input)
		if err != nil || unread != nil {
			why := fmt.Sprintf("the object cannot be read: %v", errors.Join(unread, err))
			r = &report.Recipe{Limits: []report.Limit{{Exports: report.Loaders(), Why: oneLine(why)}}}
		}
		return r, f.testTarget(s, r)
	}
}

// testTarget says where a test finds the program.
func (f *targetFlags) testTarget(s *subject, r *report.Recipe) (err error) {
	why := ""
	switch {
	case f.kernel.loaded():
		why = "the program was in the kernel already, and a test needs an object"
	case f.live.on:
		why = "frames were live, which tests do not have"
	case f.kernel.typ != "":
		why = "the program's type was given by --type, and a test takes it from the section or a target file: write type: to one"
	case len(f.kernel.maps) > 0:
		why = "maps of the kernel were given by --map: write reuse: to a target file"
	}
	if why != "" {
		r.Limits = append(r.Limits, report.Limit{Exports: []string{"repro_test.go"}, Why: why})
		return nil
	}
	t := &r.Target
	t.Program, t.Invariants, t.RealHelpers, t.Faults = s.target.Shape().Program, f.invariants, f.realHelpers, f.faults
	t.MaxInsns, t.CheckVerifier = f.maxInsns, f.checkVerifier
	if t.Oracles, err = f.given(); err != nil {
		return err
	}
	if f.config != "" {
		if t.TargetFile, err = filepath.Abs(f.config); err != nil {
			return fmt.Errorf("naming target file %s: %w", f.config, err)
		}
	}
	if f.object != "" || f.config == "" {
		if t.Object, err = filepath.Abs(s.path); err != nil {
			return fmt.Errorf("naming object %s: %w", s.path, err)
		}
	}
	return nil
}
