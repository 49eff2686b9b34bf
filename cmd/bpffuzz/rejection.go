package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// asFinding writes the rejection of a program as it is to the output directory, where the
// verifier said why. Any other error of loading is no finding and is returned.
func (f *runFlags) asFinding(u *ui, err error) error {
	rejected, ok := errors.AsType[*bpf.RejectedError](err)
	if !ok || len(rejected.Log()) == 0 {
		return err
	}
	u.fail(rejected)
	load := rejected.Finding()
	found := triage.NewRejected(rejected.Program, rejected.Type, load.Title, load.Lines, rejected.Log())
	dir := cmp.Or(f.out, filepath.Join("bpffuzz-out", filepath.Base(filepath.Join("/", rejected.Program))))
	who, err := f.ownerOf(f.path(), rejected.Program, rejected.Type)
	if err != nil {
		return err
	}
	out, err := openOutput(dir, who, report.Options{Command: verifyCommand(&f.targetFlags)}, u)
	if err != nil {
		return err
	}
	err = out.report(found)
	s := &summary{
		Workers: f.workers, Seed: f.seed, Stability: 1, Saved: 1,
		Findings: []summaryFinding{{Key: found.Key, Kind: found.Oracle, Title: found.Title, Path: out.findings.Path(found.Key)}},
	}
	if err == nil && f.json {
		err = u.printJSON(s)
	}
	if err == nil && !out.known[found.Key] {
		err = errFindings
	}
	return cmp.Or(err, out.Close())
}

// verifyCommand is the command that shows the rejection again.
func verifyCommand(f *targetFlags) string {
	words := program() + " verify"
	if f.config != "" {
		words += " -c " + report.ShellWord(f.config)
	}
	if f.program != "" {
		words += " -p " + report.ShellWord(f.program)
	}
	if f.object != "" {
		words += " " + report.ShellWord(f.object)
	}
	return words
}

// stillRejected sets the states of findings of a program that the kernel does not load.
func stillRejected(err error, all []*report.Status) bool {
	rejected, ok := errors.AsType[*bpf.RejectedError](err)
	if !ok {
		return false
	}
	title := rejected.Finding().Title
	for _, s := range all {
		if s.State, s.Detail = report.Unchecked, fmt.Sprintf("the kernel rejects program %s", rejected.Program); s.Kind == triage.Rejected && s.Program == rejected.Program {
			s.State, s.Detail, s.Runs, s.Failing = report.Failing, title, 1, 1
			regress(s)
		}
	}
	return true
}
