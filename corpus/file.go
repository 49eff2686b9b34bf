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
	"strings"
	"syscall"
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

// IsFileName reports whether a name is one that FileName may give. Files with others were
// named by hand.
func IsFileName(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 16
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
