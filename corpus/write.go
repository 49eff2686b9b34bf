package corpus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that is to be written.
type File struct {
	Name     string // without a directory
	Contents []byte
}

const tempPattern = ".tmp-*"

// syncEach is how many files are put on stable storage one by one. More of them are
// written first, and then the file system as a whole is told to.
const syncEach = 16

// WriteFiles writes files into a directory, each of which appears with its whole
// contents or not at all, and returns when they are on stable storage. A file whose name
// is there stays as it is. Wrote is how many were not.
func WriteFiles(dir string, files []File) (wrote int, err error) {
	var fresh []File
	names := map[string]bool{}
	for _, f := range files {
		_, err := os.Lstat(filepath.Join(dir, f.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist) && !names[f.Name]:
			fresh = append(fresh, f)
			names[f.Name] = true
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return 0, fmt.Errorf("looking for file %s: %w", f.Name, err)
		}
	}
	if len(fresh) == 0 {
		return 0, nil
	}
	return len(fresh), writeFresh(dir, fresh)
}

// writeFresh writes files that are not there.
func writeFresh(path string, files []File) (err error) {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	temps := make([]string, 0, len(files))
	defer func() {
		for _, name := range temps { // what could not be renamed
			err = errors.Join(err, os.Remove(name))
		}
	}()
	for _, f := range files {
		name, err := writeTemp(path, f.Contents, len(files) <= syncEach)
		if name != "" {
			temps = append(temps, name)
		}
		if err != nil {
			return fmt.Errorf("writing file %s: %w", filepath.Join(path, f.Name), err)
		}
	}
	if len(files) > syncEach {
		if err := syncAll(dir, temps); err != nil {
			return fmt.Errorf("having directory %s put on stable storage: %w", path, err)
		}
	}
	for _, f := range files {
		if err := os.Rename(temps[0], filepath.Join(path, f.Name)); err != nil {
			return fmt.Errorf("giving file %s its name: %w", filepath.Join(path, f.Name), err)
		}
		temps = temps[1:]
	}
	return dir.Sync()
}

// writeTemp writes a file under a name of its own, which is "" where there is none.
func writeTemp(dir string, contents []byte, sync bool) (name string, err error) {
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return "", err
	}
	_, err = f.Write(contents)
	err = errors.Join(err, f.Chmod(0o644))
	if sync {
		err = errors.Join(err, f.Sync())
	}
	return f.Name(), errors.Join(err, f.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
