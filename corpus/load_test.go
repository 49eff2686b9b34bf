package corpus

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoadKeepsTheOrder has more files than are read at once.
func TestLoadKeepsTheOrder(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	const n = readBlock*3 + 7
	all := make([]*Input, n)
	for i := range all {
		all[i] = step(string(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	if added, err := d.AddNew(all...); err != nil || added != n {
		t.Fatalf("added %d inputs of %d: %v", added, n, err)
	}
	if added, err := d.AddNew(all...); err != nil || added != 0 {
		t.Fatalf("added %d inputs that were there: %v", added, err)
	}
	inputs, warnings := load(t, d)
	if len(inputs) != n || len(warnings) != 0 {
		t.Fatalf("loaded %d inputs of %d with %v", len(inputs), n, warnings)
	}
	last := ""
	for _, in := range inputs {
		name := FileName(MarshalFile(in))
		if name <= last {
			t.Fatalf("file %s comes behind %s", name, last)
		}
		last = name
	}
}

func TestLoadOfOtherFiles(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	large := MarshalFile(step(strings.Repeat("large", 10_000)))
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for path, contents := range map[string][]byte{
		filepath.Join(d.Path(), FileName(large)): large,
		filepath.Join(d.Path(), ".hidden"):       []byte("no input"),
		filepath.Join(d.Path(), "sub", "input"):  []byte("no input"),
		elsewhere:                                MarshalFile(step("linked")),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, filepath.Join(d.Path(), "link")); err != nil {
		t.Fatal(err)
	}
	inputs, warnings := load(t, d)
	if len(inputs) != 2 || len(warnings) != 0 {
		t.Errorf("loaded %d inputs with %v, want the large and the linked one", len(inputs), warnings)
	}
}

func TestRemove(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Add(step("stays"), step("goes")); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(FileName(MarshalFile(step("goes"))), "missing"); err != nil {
		t.Fatal(err)
	}
	if inputs, _ := load(t, d); len(inputs) != 1 || !inputs[0].Equal(step("stays")) {
		t.Errorf("%d inputs are left", len(inputs))
	}
}

func TestWriteFilesLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	var files []File
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		files = append(files, File{name, []byte(name)}, File{name, []byte("twice")})
	}
	files = append(files, File{"missing/z", nil})
	if _, err := WriteFiles(dir, files); err == nil {
		t.Error("a file in a directory that is missing was written")
	}
	if _, err := WriteFiles(dir, files[:len(files)-1]); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 26 {
		t.Errorf("%d files, %v; want 26", len(entries), err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(b) != "a" {
		t.Errorf("the first of two files of one name is %q, %v", b, err)
	}
}
