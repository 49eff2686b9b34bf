package corpus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
)

const (
	// FileMark is what files of Go's fuzz engine begin with, whatever their version.
	FileMark = "go test fuzz v"
	// FileHeader is the first line of such a file that is read and written here.
	FileHeader = FileMark + "1"
)

// maxFile bounds the size of a corpus file that is read.
const maxFile = 64 << 20

// MarshalFile writes an input as a file of Go's fuzz engine with one []byte value,
// so that `go test` and the command read the same corpus.
func MarshalFile(in *Input) []byte {
	return []byte(FileHeader + "\n[]byte(" + strconv.Quote(string(Encode(in))) + ")\n")
}

// UnmarshalFile reads what MarshalFile wrote, or what Go's engine made of it. The input
// shares no memory with b.
func UnmarshalFile(b []byte) (*Input, error) {
	in, _, err := unmarshalFile(b, nil)
	return in, err
}

// unmarshalFile is UnmarshalFile with memory for the encoding, which is returned as
// large as it had to be.
func unmarshalFile(b, scratch []byte) (*Input, []byte, error) {
	header, rest, _ := bytes.Cut(b, []byte("\n"))
	switch header = bytes.TrimSpace(header); {
	case string(header) == FileHeader:
	case bytes.HasPrefix(header, []byte(FileMark)):
		return nil, scratch, fmt.Errorf("it has another version: its first line is %.40q, %q is known; use the program that wrote it", header, FileHeader)
	default:
		return nil, scratch, fmt.Errorf("first line is not %q", FileHeader)
	}
	quoted, begins := bytes.CutPrefix(bytes.TrimSpace(rest), []byte("[]byte("))
	quoted, ends := bytes.CutSuffix(quoted, []byte(")"))
	if !begins || !ends {
		return nil, scratch, errors.New("second line is not a single []byte value")
	}
	encoded, ok := appendUnquoted(scratch[:0], quoted)
	if !ok {
		text, err := strconv.Unquote(string(quoted))
		if err != nil {
			return nil, encoded, fmt.Errorf("second line is not a Go string in []byte(...): %w", err)
		}
		encoded = append(encoded[:0], text...)
	}
	return Decode(encoded), encoded, nil
}

// FileName returns the name of a corpus file with the given contents: the first
// 16 hexadecimal digits of their SHA-256, as Go's engine names its files.
func FileName(contents []byte) string {
	sum := sha256.Sum256(contents)
	return hex.EncodeToString(sum[:8])
}

// IsFileName reports whether a name is one that FileName may give. Files with others were
// named by hand.
func IsFileName(name string) bool {
	if len(name) != 16 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
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

func readBounded(path string) ([]byte, error) { return appendFile(nil, path) }

// appendFile appends the contents of a regular file of at most maxFile bytes to b.
func appendFile(b []byte, path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would wait for a writer
	if err != nil {
		return b, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return b, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return b, fmt.Errorf("reading corpus file %s: not a regular file of at most %d bytes", path, maxFile)
	}
	b = slices.Grow(b, int(info.Size())+1)
	for { // once, unless somebody writes: a read that leaves room has come to the end
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF || err == nil && len(b) < cap(b):
			return b, nil
		case err != nil:
			return b, err
		case len(b) > maxFile:
			return b, fmt.Errorf("reading corpus file %s: it grows beyond %d bytes", path, maxFile)
		}
		b = slices.Grow(b, len(b))
	}
}
