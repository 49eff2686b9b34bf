package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// mergeOutput is where merge writes: a new directory, which appears whole, or one of the
// corpora, in which nothing is missing at any moment.
type mergeOutput struct {
	path  string // of corpus files
	dir   *corpus.Dir
	claim *claim // nil where it is no output directory
	// inPlace says that the directory is one of the corpora; old are the names of its
	// files that were run.
	inPlace bool
	old     []string
	from    string // the directory that was looked at last
	same    bool   // and whether it is this one
	// unfinished is where a new directory is written before it is renamed.
	unfinished string
}

// openMergeOutput looks at what the destination is.
func openMergeOutput(path string, corpora []string) (*mergeOutput, error) {
	o := &mergeOutput{path: path}
	if isFile(filepath.Join(path, ownerFile)) || isDir(filepath.Join(path, "corpus")) {
		var err error
		if o.claim, err = claimDir(path); err != nil {
			return nil, err
		}
		o.path = filepath.Join(path, "corpus")
	}
	err := o.open(path, corpora)
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *mergeOutput) open(path string, corpora []string) (err error) {
	for _, from := range corpora {
		o.inPlace = o.inPlace || sameFile(from, path) || sameFile(from, o.path)
	}
	entries, err := os.ReadDir(o.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking at directory %s: %w; choose another with -o", path, err)
	}
	switch {
	case o.inPlace || len(entries) == 0 && o.claim != nil:
		o.dir, err = corpus.OpenDir(o.path)
		return err
	case len(entries) > 0:
		return usageError("directory %s has something in it already: name it among the corpora as well to merge it in place, or choose another with -o", o.path)
	}
	parent := filepath.Dir(filepath.Clean(path))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("making directory %s: %w; choose another with -o", path, err)
	}
	if o.unfinished, err = os.MkdirTemp(parent, ".merge-*"); err != nil {
		return fmt.Errorf("making a directory beside %s: %w; choose another with -o", path, explainFull(err))
	}
	o.dir, err = corpus.OpenDir(o.unfinished)
	return errors.Join(err, os.Chmod(o.unfinished, 0o755))
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// ran notes an input that takes part, by the path of its file.
func (o *mergeOutput) ran(name string) {
	if !o.inPlace || !corpus.IsFileName(filepath.Base(name)) {
		return
	}
	if dir := filepath.Dir(name); dir != o.from { // many files of one directory come in a row
		o.from, o.same = dir, sameFile(dir, o.path)
	}
	if o.same {
		o.old = append(o.old, filepath.Base(name))
	}
}

// write stores the result and then removes what it makes superfluous. Files whose names are
// no hashes were put there by hand: they stay.
func (o *mergeOutput) write(inputs []*corpus.Input) (removed int, err error) {
	if err := o.dir.Add(inputs...); err != nil {
		return 0, explainFull(err)
	}
	if o.unfinished != "" {
		err := os.Remove(o.path) // an empty one is in the way
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(o.unfinished, o.path)
		}
		if err != nil {
			return 0, fmt.Errorf("giving directory %s its name: %w; choose another with -o", o.path, err)
		}
		o.unfinished = ""
		return 0, syncDir(filepath.Dir(filepath.Clean(o.path)))
	}
	keep := map[string]bool{}
	for _, in := range inputs {
		keep[corpus.FileName(corpus.MarshalFile(in))] = true
	}
	var gone []string
	for _, name := range o.old {
		if !keep[name] {
			gone = append(gone, name)
		}
	}
	return len(gone), o.dir.Remove(gone...)
}

// explain says that an interrupted merge has done no harm.
func (o *mergeOutput) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: nothing is written and nothing removed: %w", err)
	}
	return err
}

// Close removes what is unfinished and gives the directory up.
func (o *mergeOutput) Close() (err error) {
	if o.unfinished != "" {
		err = os.RemoveAll(o.unfinished)
	}
	if o.claim != nil {
		err = errors.Join(err, o.claim.Close())
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
