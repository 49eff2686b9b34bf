package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory is one process's as long as that runs, and the error has its number.
func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	first, err := claimDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s is in use by process %d: wait until it ends", dir, os.Getpid())
	if second, err := claimDir(dir); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a directory that is taken gives %v, %v; want %q", second, err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := claimDir(dir)
	if err != nil {
		t.Fatalf("a directory that was given up: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A lock in which no number is yet belongs to somebody as well.
func TestHolder(t *testing.T) {
	for text, want := range map[string]string{"412\n": "process 412", "": "another process", "x": "another process"} {
		f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		if got := holder(f); got != want {
			t.Errorf("%q is of %s, want %s", text, got, want)
		}
	}
}
