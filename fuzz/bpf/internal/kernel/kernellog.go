package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/triage/kernellog"
)

// LogReader reads what the kernel complains of from some moment on, whoever it is about.
//
// It is not safe for concurrent use.
type LogReader struct {
	fd     int
	record []byte
	reader kernellog.Reader
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

// Complaints returns what the kernel complained of since the last call. What it has
// overwritten meanwhile is missing. It allocates little where that is nothing.
func (l *LogReader) Complaints() ([]kernellog.Complaint, error) {
	err := l.records(l.reader.Add)
	return l.reader.Take(), err
}

// records calls visit with each record that was logged since the last call.
func (l *LogReader) records(visit func(kernellog.Record)) error {
	for {
		n, err := unix.Read(l.fd, l.record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR):
			continue // the oldest ones are gone, reading goes on behind them
		case err != nil:
			return fmt.Errorf("reading the kernel's log: %w", err)
		case n == 0:
			return nil
		}
		if record, err := kernellog.Parse(string(l.record[:n])); err == nil { // others are no text
			visit(record)
		}
	}
}

// Close closes the log.
func (l *LogReader) Close() error { return unix.Close(l.fd) }
