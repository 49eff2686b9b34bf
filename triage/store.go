package triage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// tempPrefix marks directories that are being written. What a killed process left
// behind is not read; it may be another process at work, so it stays.
const tempPrefix = ".new-"

// inputFile is there in every finding: it is what is replayed.
const inputFile = "input"

// Render gives the files of a finding, by name, besides the input itself.
type Render func(*Finding) (map[string][]byte, error)

// Store is a directory of findings, one directory for each key. It is safe for
// concurrent use. Findings appear whole or not at all, also when processes share
// the directory.
type Store struct {
	dir    string
	render Render

	mu    sync.Mutex
	known map[string]int // how often, since the store was opened
}

// OpenStore opens a directory of findings, which is made if it is missing. Render
// may be nil. It is an error if there is anything in the directory that is not a
// finding, so that results of different tools are not mixed up.
func OpenStore(dir string, render Render) (*Store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("making the directory of findings %s, choose another one or remove what is there: %w", dir, err)
	}
	s := &Store{dir: dir, render: render, known: map[string]int{}}
	if err := s.probe(); err != nil {
		return nil, fmt.Errorf("writing to the directory of findings %s, choose another one or change its permissions: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the directory of findings %s: %w", dir, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := checkFinding(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("reading finding %s, remove it or choose another directory: %w", filepath.Join(dir, e.Name()), err)
		}
		s.known[e.Name()] = 0
	}
	return s, nil
}

// probe makes sure that findings can be written before hours of fuzzing are spent.
func (s *Store) probe() error {
	temp, err := os.MkdirTemp(s.dir, tempPrefix)
	if err != nil {
		return err
	}
	return os.Remove(temp)
}

// checkFinding reports what keeps path from being a finding.
func checkFinding(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is no directory")
	}
	_, err = corpus.ReadFile(filepath.Join(path, inputFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it has no file %q", inputFile)
	}
	return err
}

// Dir returns the directory's path.
func (s *Store) Dir() string { return s.dir }

// Known reports whether the store has a finding of that key, of this run or of an
// earlier one.
func (s *Store) Known(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.known[key]
	return ok
}

// Keys lists the keys of all findings in order.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.known))
	for key := range s.known {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Again counts one more failure of a known key and returns how often it was met
// since the store was opened. Other keys are not counted.
func (s *Store) Again(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[key]; !ok {
		return 0
	}
	s.known[key]++
	return s.known[key]
}

// Path returns the directory of a finding.
func (s *Store) Path(key string) string { return filepath.Join(s.dir, key) }

// Add writes a finding and returns its directory when that is on stable storage.
// A finding whose key is there already is counted and left as it is.
func (s *Store) Add(f *Finding) (path string, err error) {
	if err := checkKey(f.Key); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path = s.Path(f.Key)
	if _, ok := s.known[f.Key]; !ok {
		if err := s.write(f); err != nil {
			return "", fmt.Errorf("writing finding %s: %w", path, err)
		}
	}
	s.known[f.Key]++
	return path, nil
}

func checkKey(key string) error {
	if key == "" || key[0] == '.' || strings.ContainsAny(key, "/\\\x00") {
		return fmt.Errorf("%q cannot be a finding's key: it is no file name", key)
	}
	return nil
}

// write makes the finding's directory appear with all its files.
func (s *Store) write(f *Finding) error {
	files := map[string][]byte{}
	if s.render != nil {
		rendered, err := s.render(f)
		if err != nil {
			return err
		}
		files = rendered
	}
	return writeDir(s.dir, f.Key, f.Input, files)
}

// writeDir makes a directory of the given name appear in dir with an input and other
// files. Another process may have been faster, which is as good.
func writeDir(dir, name string, in *corpus.Input, files map[string][]byte) error {
	temp, err := os.MkdirTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	for name, contents := range files {
		if err := writeSynced(filepath.Join(temp, name), contents); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(temp, inputFile), corpus.MarshalFile(in)); err != nil {
		return err
	}
	if err := syncDir(temp); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.Rename(temp, path); err != nil && checkFinding(path) != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, contents []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(contents)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
