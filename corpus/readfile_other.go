//go:build !unix

package corpus

import "path/filepath"

// dirReader reads files of one directory.
type dirReader struct{ dir string }

func openDirReader(path string) (*dirReader, error) { return &dirReader{path}, nil }

func (r *dirReader) Close() error { return nil }

func (r *dirReader) path() string { return r.dir }

// append appends the contents of a regular file to b.
func (r *dirReader) append(b []byte, name string) ([]byte, error) {
	return appendFile(b, filepath.Join(r.dir, name))
}
