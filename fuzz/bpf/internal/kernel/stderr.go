package kernel

import (
	"bytes"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stderr reads what a program wrote to its error stream, or what the kernel wrote there
// for it. Linux has streams since 6.17. It is not safe for concurrent use.
type Stderr struct {
	attr streamAttr
	buf  []byte
}

// stderrSize is as much as the kernel keeps of what nobody has read.
const stderrSize = 100_000

// OpenStderr returns the error stream of the program with that file descriptor, which has
// to stay open. The error is that of a kernel that has no streams.
func OpenStderr(fd int) (*Stderr, error) {
	s := &Stderr{attr: streamAttr{size: stderrSize, id: streamStderr, fd: uint32(fd)}, buf: make([]byte, stderrSize)}
	s.attr.buf, _ = address(s.buf)
	if _, err := s.Lines(); err != nil {
		return nil, err
	}
	return s, nil
}

// Lines takes what was written since the last call, by line. It does not allocate where
// that is nothing.
func (s *Stderr) Lines() ([]string, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_BPF, cmdStreamRead, uintptr(unsafe.Pointer(&s.attr)), unsafe.Sizeof(s.attr))
	if errno != 0 {
		return nil, fmt.Errorf("reading the error stream of a program: %w%s", errno, Explain(errno))
	}
	text := bytes.TrimRight(s.buf[:min(int(n), len(s.buf))], "\n")
	if len(text) == 0 {
		return nil, nil
	}
	var lines []string
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		lines = append(lines, string(line))
	}
	return lines, nil
}
