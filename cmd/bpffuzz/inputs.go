package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// named is an input and where it came from.
type named struct {
	name string
	in   *corpus.Input
	raw  bool // the bytes of a file that is no other kind of input
	// frames says that its packets are captured ones, with their headers.
	frames bool
	// about is the program and type of the finding that it is of, "" for none.
	about string
}

// maxSeedFiles bounds the files that are read from one directory.
const maxSeedFiles = 1_000_000

// readInputs reads a finding's directory, a corpus file, a capture, a raw packet,
// or a directory of such files, in order of name and without its subdirectories.
// Warn is told what is left out.
func readInputs(path string, warn func(error)) ([]named, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading input: %w", err)
	}
	if !info.IsDir() {
		return readInputFile(path, warn)
	}
	if in, err := corpus.ReadFile(filepath.Join(path, "input")); err == nil {
		return []named{{name: path, in: in, about: findingOf(path)}}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return readInputDir(path, warn)
}

// findingOf says which program a finding is of, "" where its directory does not.
func findingOf(dir string) string {
	b, err := readReport(dir)
	if err != nil {
		return ""
	}
	s, err := report.ReadStatus(b)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s (%s)", s.Program, s.Type)
}

func readInputDir(path string, warn func(error)) (all []named, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading inputs: %w", err)
	}
	for i, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if i == maxSeedFiles {
			warn(fmt.Errorf("%s: only the first %d files are read", path, maxSeedFiles))
			break
		}
		inputs, err := readInputFile(filepath.Join(path, e.Name()), warn)
		if err != nil {
			warn(fmt.Errorf("skipped: %w", err))
			continue
		}
		all = append(all, inputs...)
	}
	return all, nil
}

// readInputFile reads a corpus file, or what package pcap reads.
func readInputFile(path string, warn func(error)) ([]named, error) {
	marked, err := startsWith(path, corpus.FileMark)
	if err != nil {
		return nil, err
	}
	if marked {
		in, err := corpus.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return []named{{name: path, in: in}}, nil
	}
	seeds, err := pcap.ReadPath(path, pcap.Options{})
	if err != nil {
		return nil, err
	}
	for _, w := range seeds.Warnings {
		warn(errors.New(w))
	}
	all := make([]named, 0, len(seeds.Inputs))
	for i, in := range seeds.Inputs {
		name := path
		if len(seeds.Inputs) > 1 {
			name = fmt.Sprintf("%s, packet %d", path, i+1)
		}
		all = append(all, named{name: name, in: in, raw: seeds.Raw, frames: seeds.Frames[i]})
	}
	return all, nil
}

// noteRaw says that files were taken for packets as they are, which is what a mistyped
// name looks like as well.
func noteRaw(u *ui, path string, all []named) {
	var raw []named
	for _, n := range all {
		if n.raw {
			raw = append(raw, n)
		}
	}
	switch {
	case len(raw) == 0:
	case len(raw) == 1:
		u.say("note: %s is neither a corpus file nor a capture: its %s are taken as a raw packet", raw[0].name, count(len(raw[0].in.Steps[0].Packet), "byte"))
	default:
		u.say("note: %s in %s are neither corpus files nor captures: each is taken as a raw packet", count(len(raw), "file"), path)
	}
}

func startsWith(path, mark string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("reading input: %w", err)
	}
	if !info.Mode().IsRegular() { // a FIFO would block, a device never end
		return false, fmt.Errorf("reading input %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("reading input: %w", err)
	}
	defer f.Close()
	begin := make([]byte, len(mark))
	n, _ := f.Read(begin)
	return bytes.Equal(begin[:n], []byte(mark)), nil
}

// asSequence makes one input of the steps of all, in order.
func asSequence(path string, all []named) []named {
	if len(all) < 2 {
		return all
	}
	in := &corpus.Input{Maps: all[0].in.Maps}
	frames := true
	for _, one := range all {
		in.Steps = append(in.Steps, one.in.Steps...)
		frames = frames && one.frames
	}
	return []named{{name: path, in: in, frames: frames}}
}

// globQuote makes a pattern of a path that stands for it alone.
func globQuote(path string) string {
	var quoted []byte
	for i := range len(path) {
		if c := path[i]; c == '*' || c == '?' || c == '[' || c == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, path[i])
	}
	return string(quoted)
}
