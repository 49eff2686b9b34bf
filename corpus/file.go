package corpus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FileHeader is the first line of a file of Go's fuzz engine.
const FileHeader = "go test fuzz v1"

// maxFile bounds the size of a corpus file that is read.
const maxFile = 64 << 20

// MarshalFile writes an input as a file of Go's fuzz engine with one []byte value,
// so that `go test` and the command read the same corpus.
func MarshalFile(in *Input) []byte {
	return []byte(FileHeader + "\n[]byte(" + strconv.Quote(string(Encode(in))) + ")\n")
}

// UnmarshalFile reads what MarshalFile wrote, or what Go's engine made of it.
func UnmarshalFile(b []byte) (*Input, error) {
	header, rest, _ := bytes.Cut(b, []byte("\n"))
	if strings.TrimSpace(string(header)) != FileHeader {
		return nil, fmt.Errorf("first line is not %q", FileHeader)
	}
	line := strings.TrimSpace(string(rest))
	quoted, ok := strings.CutPrefix(line, "[]byte(")
	if quoted, ok = cutSuffix(quoted, ")", ok); !ok {
		return nil, errors.New("second line is not a single []byte value")
	}
	encoded, err := strconv.Unquote(quoted)
	if err != nil {
		return nil, fmt.Errorf("second line is not a Go string in []byte(...): %w", err)
	}
	return Decode([]byte(encoded)), nil
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	s, found := strings.CutSuffix(s, suffix)
	return s, ok && found
}

// FileName returns the name of a corpus file with the given contents: the first
// 16 hexadecimal digits of their SHA-256, as Go's engine names its files.
func FileName(contents []byte) string {
	sum := sha256.Sum256(contents)
	return hex.EncodeToString(sum[:8])
}

// ReadFile reads one corpus file.
func ReadFile(path string) (*Input, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	in, err := UnmarshalFile(b)
	if err != nil {
		return nil, fmt.Errorf("reading corpus file %s: %w", path, err)
	}
	return in, nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("reading corpus file %s: not a regular file of at most %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}

// Dir is a directory of corpus files. It is safe for concurrent use by goroutines
// and processes: files appear whole, under a name that follows from their contents.
type Dir struct{ path string }

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

const tempPattern = ".tmp-*"

// Path returns the directory's path.
func (d *Dir) Path() string { return d.path }

// Load calls add with every input in the directory, in order of file name. A file
// that cannot be read as an input, or whose name is a hash of other contents, is moved
// to the directory "corrupt" beside this one and reported to warn.
func (d *Dir) Load(add func(*Input), warn func(error)) error {
	names, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("reading corpus directory %s: %w", d.path, err)
	}
	for _, entry := range names {
		if entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		in, err := d.read(entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process took it away
		}
		if err != nil {
			warn(d.setAside(entry.Name(), err))
			continue
		}
		add(in)
	}
	return nil
}

func (d *Dir) read(name string) (*Input, error) {
	path := filepath.Join(d.path, name)
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	if isHash(name) && FileName(b) != name {
		return nil, fmt.Errorf("corpus file %s is corrupted: its contents do not have the hash in its name", path)
	}
	in, err := UnmarshalFile(b)
	if err != nil {
		return nil, fmt.Errorf("corpus file %s is corrupted: %w", path, err)
	}
	return in, nil
}

func isHash(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 16
}

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
	wrote := false
	for _, in := range inputs {
		b := MarshalFile(in)
		path := filepath.Join(d.path, FileName(b))
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := writeFile(path, b); err != nil {
			return fmt.Errorf("writing corpus file %s: %w", path, err)
		}
		wrote = true
	}
	if !wrote {
		return nil
	}
	return syncDir(d.path)
}

// writeFile makes path appear with its whole contents or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
