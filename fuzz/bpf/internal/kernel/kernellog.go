package kernel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// LogReader reads what the kernel says from some moment on, whoever it is about.
//
// It is not safe for concurrent use.
type LogReader struct {
	fd     int
	record []byte
}

// maxRecord is the size of the largest record of /dev/kmsg.
const maxRecord = 8192

// OpenLog opens the kernel's log at its end. That takes CAP_SYSLOG where the sysctl
// kernel.dmesg_restrict is 1.
func OpenLog() (*LogReader, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the kernel's log /dev/kmsg: %w%s", err, missing(err, "CAP_SYSLOG"))
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		return nil, errors.Join(fmt.Errorf("going to the end of the kernel's log: %w", err), unix.Close(fd))
	}
	return newLogReader(fd), nil
}

// newLogReader reads from a file descriptor that gives a record with each read.
func newLogReader(fd int) *LogReader { return &LogReader{fd: fd, record: make([]byte, maxRecord)} }

// Lines returns what was logged since the last call, without times and levels. Lines that
// the kernel has overwritten meanwhile are missing.
func (l *LogReader) Lines() ([]string, error) {
	var lines []string
	record := l.record
	for {
		n, err := unix.Read(l.fd, record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lines, nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR):
			continue // the oldest ones are gone, reading goes on behind them
		case err != nil:
			return lines, fmt.Errorf("reading the kernel's log: %w", err)
		case n == 0:
			return lines, nil
		}
		// "6,1234,5678,-;the text", then lines with further fields.
		if _, text, ok := strings.Cut(string(record[:n]), ";"); ok {
			text, _, _ = strings.Cut(text, "\n")
			lines = append(lines, text)
		}
	}
}

// Close closes the log.
func (l *LogReader) Close() error { return unix.Close(l.fd) }
