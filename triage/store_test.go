package triage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func finding(key string, b ...byte) *Finding {
	return &Finding{Key: key, Input: inputOf(b)}
}

func oneFile(f *Finding) (map[string][]byte, error) {
	return map[string][]byte{"report.txt": []byte(f.Key)}, nil
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out", "findings")
	s, err := OpenStore(dir, oneFile)
	if err != nil {
		t.Fatal(err)
	}
	if s.Known("a-1") || s.Again("a-1") != 0 {
		t.Error("an empty store knows a key")
	}
	path, err := s.Add(finding("a-1", 1))
	if err != nil || path != filepath.Join(dir, "a-1") {
		t.Fatalf("path %q, error %v", path, err)
	}
	if _, err := s.Add(finding("a-1", 2)); err != nil {
		t.Fatal(err)
	}
	if n := s.Again("a-1"); n != 3 {
		t.Errorf("met %d times, want 3", n)
	}
	in, err := corpus.ReadFile(filepath.Join(path, "input"))
	if err != nil || !in.Equal(inputOf([]byte{1})) {
		t.Errorf("the first finding was not kept: %+v, error %v", in, err)
	}
	if got, err := os.ReadFile(filepath.Join(path, "report.txt")); err != nil || string(got) != "a-1" {
		t.Errorf("report %q, error %v", got, err)
	}
	if names := list(t, dir); !slices.Equal(names, []string{"a-1"}) {
		t.Errorf("the directory has %q", names)
	}
	resumed, err := OpenStore(dir, nil)
	if err != nil || !resumed.Known("a-1") || !slices.Equal(resumed.Keys(), []string{"a-1"}) {
		t.Errorf("a resumed run does not know the finding, error %v", err)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestStoreLeavesNothingHalfDone(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("cannot render")
	for name, render := range map[string]Render{
		"render fails":   func(*Finding) (map[string][]byte, error) { return nil, broken },
		"write fails":    func(*Finding) (map[string][]byte, error) { return map[string][]byte{"no/such/dir": nil}, nil },
		"input is taken": func(*Finding) (map[string][]byte, error) { return map[string][]byte{"input": nil}, nil },
	} {
		s, err := OpenStore(dir, render)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(finding("a-1", 1)); err == nil || s.Known("a-1") {
			t.Errorf("%s: error %v", name, err)
		}
		if names := list(t, dir); len(names) != 0 {
			t.Errorf("%s: left %q", name, names)
		}
	}
}

func TestStoreRefusesWhatIsNoFinding(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(dir string) error
		want string
	}{
		{"a file", func(dir string) error { return os.WriteFile(filepath.Join(dir, "x"), nil, 0o644) }, "it is no directory"},
		{"a directory", func(dir string) error { return os.Mkdir(filepath.Join(dir, "x"), 0o755) }, `it has no file "input"`},
		{"a damaged input", func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "x"), 0o755), os.WriteFile(filepath.Join(dir, "x", "input"), []byte("junk"), 0o644))
		}, "x"},
	} {
		dir := t.TempDir()
		if err := test.make(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenStore(dir, nil); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), filepath.Join(dir, "x")) {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(file, nil); err == nil {
		t.Error("a file was opened as a directory")
	}
}

func TestStoreIgnoresWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, tempPrefix+"123"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(dir, nil)
	if err != nil || len(s.Keys()) != 0 {
		t.Errorf("keys %q, error %v", s.Keys(), err)
	}
}

func TestStoreRefusesKeysThatAreNoFileNames(t *testing.T) {
	s, err := OpenStore(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", ".", "..", ".new-1", "a/b", `a\b`, "a\x00"} {
		if _, err := s.Add(finding(key)); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
}

func TestStoresShareADirectory(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		s, err := OpenStore(dir, oneFile)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := s.Add(finding("a-1", 1, 2, 3)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if names := list(t, dir); !slices.Equal(names, []string{"a-1"}) {
		t.Errorf("the directory has %q", names)
	}
}
