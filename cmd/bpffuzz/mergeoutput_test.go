package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// fileOf writes a corpus file of a packet under the name that its contents give.
func fileOf(t *testing.T, dir, packet string) (name string) {
	t.Helper()
	b := corpus.MarshalFile(packets(packet))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, corpus.FileName(b)), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return corpus.FileName(b)
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestMergeOutput(t *testing.T) {
	result := corpus.FileName(corpus.MarshalFile(packets("result")))
	for _, test := range []struct {
		name  string
		make  bool // the directory is there, and empty
		write bool
		want  []string // is in the directory
	}{
		{"a new one that is written", false, true, []string{result}},
		{"an empty one that is written", true, true, []string{result}},
		{"a new one that is given up", false, false, nil},
		{"an empty one that is given up", true, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			parent := t.TempDir()
			path := filepath.Join(parent, "to")
			if test.make {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			o, err := openMergeOutput(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.write {
				if _, err := o.write([]*corpus.Input{packets("result")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if got := namesIn(t, path); !slices.Equal(got, test.want) {
				t.Errorf("%q are in the directory, want %q", got, test.want)
			}
			if got := namesIn(t, parent); len(got) > 1 || len(got) == 1 && got[0] != "to" {
				t.Errorf("%q are left behind", got)
			}
		})
	}
}

// TestMergeInPlace removes what was run and is superfluous, and nothing else.
func TestMergeInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "corpus")
	kept, superfluous, unread := fileOf(t, path, "kept"), fileOf(t, path, "superfluous"), fileOf(t, path, "unread")
	if err := os.WriteFile(filepath.Join(path, "by-hand"), corpus.MarshalFile(packets("by hand")), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() *mergeOutput {
		o, err := openMergeOutput(path, []string{"elsewhere", path})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{kept, superfluous, "by-hand"} {
			o.ran(filepath.Join(path, name))
			o.ran(filepath.Join(t.TempDir(), unread)) // of another corpus
		}
		return o
	}
	before := namesIn(t, path)
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
	if after := namesIn(t, path); !slices.Equal(before, after) {
		t.Errorf("a merge that was interrupted leaves %q of %q", after, before)
	}
	o := open()
	removed, err := o.write([]*corpus.Input{packets("kept"), packets("of another corpus")})
	if err != nil || removed != 1 {
		t.Errorf("%d files are removed, %v; want 1", removed, err)
	}
	want := []string{kept, unread, "by-hand", corpus.FileName(corpus.MarshalFile(packets("of another corpus")))}
	slices.Sort(want)
	if got := namesIn(t, path); !slices.Equal(got, want) {
		t.Errorf("%q are left, want %q", got, want)
	}
}
