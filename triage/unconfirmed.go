package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Unconfirmed is a failure that did not happen again from the initial state. It may
// be chance, or state that cannot be put back; it is kept to be looked at, and
// counts as no finding.
type Unconfirmed struct {
	// Oracle objected; Title is its reason, in one line.
	Oracle, Title string
	// Program is the program's name, Type its kind as bpftool prints it.
	Program, Type string
	// Payload says that packets are bytes for an application (see corpus.Shape).
	Payload bool
	// Failing is the input that failed.
	Failing *corpus.Input
	// Batch has the steps that ran on the same state, in their order, up to the last
	// one of Failing; it is Failing itself where that ran from the initial state.
	Batch *corpus.Input
	// Notes say what a reader has to know, in one line each.
	Notes []string
}

// Key names what failed and the inputs that did it. It can be used as a file name.
func (u *Unconfirmed) Key() string {
	sum := sha256.Sum256(corpus.Encode(u.Batch))
	return fileWord(u.Oracle) + "-" + fileWord(u.Program) + "-" + hex.EncodeToString(sum[:4])
}

const (
	// DefaultPerOracle is how many failures of one oracle are kept apart: one shows
	// what it is about, a few show what they have in common.
	DefaultPerOracle = 4
	// DefaultMost is how many are kept apart in all.
	DefaultMost = 32
)

// Aside is a directory of unconfirmed failures, one directory for each, and no more
// than a few: a program that depends on chance fails all the time. It is safe for
// concurrent use. Failures appear whole or not at all.
type Aside struct {
	dir    string
	render func(*Unconfirmed) (map[string][]byte, error)

	mu   sync.Mutex
	kept map[string]bool // keys
}

// OpenAside opens a directory of unconfirmed failures; it is made when the first one
// is kept. Render gives the files of a failure by name, besides the batch itself, and
// may be nil. What earlier runs kept counts against the limits.
func OpenAside(dir string, render func(*Unconfirmed) (map[string][]byte, error)) (*Aside, error) {
	a := &Aside{dir: dir, render: render, kept: map[string]bool{}}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the directory of unconfirmed failures %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			a.kept[e.Name()] = true
		}
	}
	return a, nil
}

// Dir returns the directory's path.
func (a *Aside) Dir() string { return a.dir }

// Len returns how many failures are kept, those of earlier runs included.
func (a *Aside) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.kept)
}

// Add keeps a failure, if it is new and there is room for it, and reports whether it
// did, which is when it is on stable storage.
func (a *Aside) Add(u *Unconfirmed) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.kept) >= DefaultMost || a.of(u) >= DefaultPerOracle {
		return false, nil
	}
	key := u.Key()
	if a.kept[key] {
		return false, nil
	}
	if err := a.write(u, key); err != nil {
		return false, fmt.Errorf("writing unconfirmed failure %s: %w", filepath.Join(a.dir, key), err)
	}
	a.kept[key] = true
	return true, nil
}

// Expire removes failures that were kept before a moment, and returns how many; others may
// take their place.
func (a *Aside) Expire(before time.Time) (removed int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(a.kept)) {
		path := filepath.Join(a.dir, key)
		info, err := os.Stat(path)
		if err == nil && !info.ModTime().Before(before) {
			continue
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, fmt.Errorf("looking at unconfirmed failure %s: %w", path, err)
		}
		if err := removeDir(path); err != nil {
			return removed, fmt.Errorf("removing unconfirmed failure %s: %w", path, err)
		}
		delete(a.kept, key)
		removed++
	}
	return removed, nil
}

// removeDir removes a directory that nobody finds half removed.
func removeDir(path string) error {
	hidden := filepath.Join(filepath.Dir(path), tempPrefix+filepath.Base(path))
	if err := os.Rename(path, hidden); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(hidden)
}

// of returns how many failures of the same oracle and program are kept.
func (a *Aside) of(u *Unconfirmed) (n int) {
	prefix := fileWord(u.Oracle) + "-" + fileWord(u.Program) + "-"
	for key := range a.kept {
		if rest, ok := strings.CutPrefix(key, prefix); ok && !strings.Contains(rest, "-") {
			n++
		}
	}
	return n
}

func (a *Aside) write(u *Unconfirmed, key string) error {
	files := map[string][]byte{}
	if a.render != nil {
		rendered, err := a.render(u)
		if err != nil {
			return err
		}
		files = rendered
	}
	if err := os.MkdirAll(a.dir, 0o777); err != nil {
		return err
	}
	return writeDir(a.dir, key, u.Batch, files)
}
