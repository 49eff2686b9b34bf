package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/triage/report"
)

// findingsDir is a directory with findings that exists.
type findingsDir struct {
	root string // the output directory, "" where the findings are in none
	dir  string // has a directory for each finding
	key  string // of the one that was named by its directory, or ""
}

// maxReport bounds a report in bytes.
const maxReport = 64 << 20

// openFindings takes an output directory, its directory of findings, or one finding.
func openFindings(path string) (*findingsDir, error) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading findings: %w; name the output directory of a run", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("reading findings: %s is no directory; name the output directory of a run", path)
	}
	d := &findingsDir{dir: path}
	switch {
	case exists(filepath.Join(path, "findings")):
		d.root, d.dir = path, filepath.Join(path, "findings")
		return d, nil
	case exists(filepath.Join(path, "input")):
		if path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("naming finding %s: %w", path, err)
		}
		d.key = filepath.Base(path)
		if d.dir = filepath.Dir(filepath.Clean(d.dir)); d.dir == "." {
			d.dir = filepath.Dir(path)
		}
	case filepath.Base(path) != "findings":
		return nil, fmt.Errorf("%s is neither the output directory of a run nor a finding: it has no directory \"findings\" and no file \"input\"", path)
	}
	if root := filepath.Dir(d.dir); exists(filepath.Join(root, ownerFile)) {
		d.root = root
	}
	return d, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// read reads the finding of a key, or all for "". What is no finding is left out, and
// an error where it was asked for.
func (d *findingsDir) read(key string) (all []*report.Status, left []error, err error) {
	all = []*report.Status{}
	if key != "" {
		s, err := d.status(key)
		return append(all, s), nil, err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the directory of findings %s: %w", d.dir, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		s, err := d.status(e.Name())
		if err != nil {
			left = append(left, err)
			continue
		}
		all = append(all, s)
	}
	return all, left, nil
}

func (d *findingsDir) status(key string) (*report.Status, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, err
	}
	b, err := readReport(path)
	if err != nil {
		return nil, err
	}
	s, err := report.ReadStatus(b)
	if err != nil {
		return nil, explainReport(path, err)
	}
	info, err := os.Stat(filepath.Join(path, "input"))
	if err != nil {
		return nil, fmt.Errorf("%s is no finding: it has no file \"input\"", path)
	}
	// The input is written once; the report is rewritten when it is counted.
	s.Key, s.Path, s.Found = key, path, info.ModTime().UTC().Format(time.RFC3339)
	return s, nil
}

// path returns the directory of a key, which comes from the command line.
func (d *findingsDir) path(key string) (string, error) {
	path := filepath.Join(d.dir, key)
	if !filepath.IsLocal(key) || strings.ContainsRune(key, '/') || !exists(path) {
		return "", fmt.Errorf("no finding %q in %s: bpffuzz findings %s lists the keys", key, d.dir, report.ShellWord(d.dir))
	}
	return path, nil
}

func readReport(path string) ([]byte, error) {
	name := filepath.Join(path, "report.json")
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no finding: it has no file \"report.json\"", path)
	case err == nil && info.Size() > maxReport:
		return nil, fmt.Errorf("reading finding %s: its report has %d bytes, at most %d are read", path, info.Size(), maxReport)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading finding %s: %w", path, err)
	}
	return b, nil
}

// explainReport says what to do about a report that cannot be read.
func explainReport(path string, err error) error {
	var other *report.VersionError
	if errors.As(err, &other) {
		return fmt.Errorf("reading finding %s: %w; use the bpffuzz that wrote it", path, err)
	}
	return fmt.Errorf("reading finding %s: report.json is damaged: %w", path, err)
}

// text returns the report of a finding for people.
func (d *findingsDir) text(s *report.Status) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(s.Path, "report.txt"))
	if err != nil {
		return nil, fmt.Errorf("showing finding %s: %w", s.Path, err)
	}
	if s.Known {
		b = append(b, "\nmarked as known\n"...)
	}
	return b, nil
}

// mark changes what is known, unless a run is at work in the directory.
func (d *findingsDir) mark(known, unknown []string) error {
	if len(known)+len(unknown) == 0 {
		return nil
	}
	if d.root != "" {
		held, err := claimDir(d.root)
		if err != nil {
			return err
		}
		defer held.Close()
	}
	for _, key := range known {
		if err := d.setKnown(key, true); err != nil {
			return err
		}
	}
	for _, key := range unknown {
		if err := d.setKnown(key, false); err != nil {
			return err
		}
	}
	return nil
}

func (d *findingsDir) setKnown(key string, known bool) error {
	path, err := d.path(key)
	if err != nil {
		return err
	}
	b, err := readReport(path)
	if err != nil {
		return err
	}
	if b, err = report.SetKnown(b, known); err != nil {
		return explainReport(path, err)
	}
	if err := writeWhole(filepath.Join(path, "report.json"), b); err != nil {
		return fmt.Errorf("marking finding %s: %w", path, explainFull(err))
	}
	return nil
}
