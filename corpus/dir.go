package corpus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is a directory of corpus files. It is safe for concurrent use by goroutines
// and processes: files appear whole, under a name that follows from their contents.
type Dir struct {
	path string
	// packFrom is how many files make a corpus large; 0 means defaultPackFrom.
	packFrom int
}

// OpenDir opens a corpus directory, which is made if it is missing, and checks that it can be
// written.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("making corpus directory %s: %w; choose another with -o", path, err)
	}
	probe, err := os.CreateTemp(path, tempPattern)
	if err != nil {
		return nil, fmt.Errorf("writing to corpus directory %s: %w; choose another with -o", path, err)
	}
	return &Dir{path: path}, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Path returns the directory's path.
func (d *Dir) Path() string { return d.path }

func (d *Dir) corrupt() string { return filepath.Join(filepath.Dir(d.path), "corrupt") }

// setAside moves a file away that is not good for a reason, and returns the reason
// with what became of the file.
func (d *Dir) setAside(name string, reason error) error {
	err := os.MkdirAll(d.corrupt(), 0o755)
	if err == nil {
		err = os.Rename(filepath.Join(d.path, name), filepath.Join(d.corrupt(), name))
	}
	if err != nil {
		return fmt.Errorf("%w; it is left out and stays, as it cannot be moved: %w", reason, err)
	}
	return fmt.Errorf("%w; it was moved to %s", reason, d.corrupt())
}

// Add writes inputs, each to a file of its own, and returns when files and
// directory are on stable storage. An input that is there already costs nothing.
func (d *Dir) Add(inputs ...*Input) error {
	_, err := d.AddNew(inputs...)
	return err
}

// AddNew is Add and returns how many inputs were not there already.
func (d *Dir) AddNew(inputs ...*Input) (int, error) {
	files := make([]File, len(inputs))
	for i, in := range inputs {
		b := MarshalFile(in)
		files[i] = File{FileName(b), b}
	}
	n, err := WriteFiles(d.path, files)
	if err != nil {
		return n, fmt.Errorf("adding to corpus directory %s: %w", d.path, err)
	}
	return n, nil
}

// Remove removes files by name and returns when they are gone for good. Those that are
// gone already do not matter.
func (d *Dir) Remove(names ...string) error {
	for _, name := range names {
		err := os.Remove(filepath.Join(d.path, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing from corpus directory %s: %w", d.path, err)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return syncDir(d.path)
}
