//go:build unix

package corpus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dirReader reads small files of one directory. With three system calls for each, and
// names that are looked up in the directory itself, it takes half the time of package os.
type dirReader struct{ dir *os.File }

func openDirReader(path string) (*dirReader, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &dirReader{dir}, nil
}

func (r *dirReader) Close() error { return r.dir.Close() }

func (r *dirReader) path() string { return r.dir.Name() }

// append appends the contents of a regular file to b. Symbolic links and what else is none
// are left to appendFile.
func (r *dirReader) append(b []byte, name string) ([]byte, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(int(r.dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
		return err
	})
	if errors.Is(err, unix.ELOOP) {
		return appendFile(b, filepath.Join(r.path(), name))
	}
	if err != nil {
		return b, &fs.PathError{Op: "open", Path: filepath.Join(r.path(), name), Err: err}
	}
	b, err = r.appendFrom(b, fd, name)
	return b, errors.Join(err, unix.Close(fd))
}

func (r *dirReader) appendFrom(b []byte, fd int, name string) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, make([]byte, max(len(b), 4096))...)[:len(b)]
		}
		var n int
		err := again(func() (err error) {
			n, err = unix.Read(fd, b[len(b):cap(b)])
			return err
		})
		if err != nil {
			return b, &fs.PathError{Op: "read", Path: filepath.Join(r.path(), name), Err: err}
		}
		b = b[:len(b)+n]
		if len(b) > maxFile {
			return b, fmt.Errorf("reading corpus file %s: more than %d bytes", filepath.Join(r.path(), name), maxFile)
		}
		if len(b) < cap(b) {
			return b, nil // a read that leaves room has come to the end
		}
	}
}

// again calls do until no signal interrupts it.
func again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
