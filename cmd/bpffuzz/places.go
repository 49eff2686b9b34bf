package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

// place is a file, or a directory whose files hold inputs. What it is was found out by
// looking at it.
type place struct {
	path string
	dir  bool
	// by names the program that left the files, and whose notes are no inputs; "" for any.
	by string
	// key is that of the finding whose input this is, "" for other places.
	key string
}

const (
	byAFL       = "AFL"
	byLibFuzzer = "libFuzzer"
)

// findPlaces looks at what a path is: a file; a finding; what a run, AFL or several
// instances of it wrote; a package of Go, or its testdata/fuzz, with one fuzz test; any
// other directory is one of files.
func findPlaces(path string) ([]place, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading input: %w", err)
	}
	if !info.IsDir() {
		return []place{{path: path}}, nil
	}
	if input := filepath.Join(path, "input"); isFile(input) {
		return []place{{path: input, key: filepath.Base(path)}}, nil
	}
	for _, look := range []func(string) ([]place, error){outputPlaces, aflPlaces, goPlaces} {
		if places, err := look(path); err != nil || len(places) > 0 {
			return places, err
		}
	}
	return []place{{path: path, dir: true}}, nil
}

// outputPlaces are the corpus and the findings of an output directory.
func outputPlaces(path string) (places []place, err error) {
	if corpus := filepath.Join(path, "corpus"); isDir(corpus) {
		places = append(places, place{path: corpus, dir: true})
	}
	findings, err := subdirectories(filepath.Join(path, "findings"))
	for _, finding := range findings {
		if input := filepath.Join(finding, "input"); isFile(input) {
			places = append(places, place{path: input, key: filepath.Base(finding)})
		}
	}
	return places, err
}

// aflPlaces are what AFL left in its output directory, or in those of several
// instances beside each other.
func aflPlaces(path string) (places []place, err error) {
	instances := []string{path}
	if !isDir(filepath.Join(path, "queue")) {
		if instances, err = subdirectories(path); err != nil {
			return nil, err
		}
	}
	for _, instance := range instances {
		if !isDir(filepath.Join(instance, "queue")) {
			continue
		}
		for _, name := range []string{"queue", "crashes", "hangs"} {
			if dir := filepath.Join(instance, name); isDir(dir) {
				places = append(places, place{path: dir, dir: true, by: byAFL})
			}
		}
	}
	return places, nil
}

// goPlaces is the corpus of the only fuzz test of a package.
func goPlaces(path string) ([]place, error) {
	if in := filepath.Join(path, "testdata", "fuzz"); isDir(in) {
		path = in
	}
	all, err := subdirectories(path)
	if err != nil {
		return nil, err
	}
	var tests []string
	for _, dir := range all {
		if strings.HasPrefix(filepath.Base(dir), "Fuzz") {
			tests = append(tests, dir)
		}
	}
	switch len(tests) {
	case 0:
		return nil, nil
	case 1:
		return []place{{path: tests[0], dir: true}}, nil
	}
	return nil, fmt.Errorf("%s has inputs of %s: name the one that is meant, such as %s", path, count(len(tests), "fuzz test"), tests[0])
}

// subdirectories lists those of a directory with their paths; none of one that is missing.
func subdirectories(path string) (all []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("reading inputs: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, filepath.Join(path, e.Name()))
		}
	}
	return all, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// fatal reports whether the place is a finding whose input is not to be run, as it ends the
// process or the machine.
func (p *place) fatal() bool { return p.key != "" && triage.HasNoRun(p.key) }

// author tells by the names of files who wrote them.
func author(entries []os.DirEntry) string {
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "id:") || strings.HasPrefix(name, "id_000"):
			return byAFL
		case isSHA1(name), isArtifact(name):
			return byLibFuzzer
		}
	}
	return ""
}

// isArtifact recognises inputs that libFuzzer writes when they break something.
func isArtifact(name string) bool {
	for _, kind := range []string{"crash-", "timeout-", "oom-", "leak-", "slow-unit-"} {
		if sum, ok := strings.CutPrefix(name, kind); ok && isSHA1(sum) {
			return true
		}
	}
	return false
}

func isSHA1(name string) bool {
	if len(name) != 40 {
		return false
	}
	return strings.Trim(name, "0123456789abcdef") == ""
}
