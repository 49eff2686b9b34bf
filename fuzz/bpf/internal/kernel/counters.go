package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CounterEvent is something that a processor counts.
type CounterEvent struct {
	Name         string
	kind, config uint32
}

// CounterEvents are what tells most of a program's speed. The last one is counted by
// the kernel, so it is there on every machine.
func CounterEvents() []CounterEvent {
	return []CounterEvent{
		{"cycles", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES},
		{"instructions", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS},
		{"cache-misses", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CACHE_MISSES},
		{"branch-misses", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_BRANCH_MISSES},
		{"task-clock-ns", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK},
	}
}

// ErrNoCounter says that the machine does not count an event, as most virtual
// machines do not.
var ErrNoCounter = errors.New("this machine has no counter for it, as most virtual machines have none")

// Counter counts an event in the kernel on the thread that opened it.
type Counter struct{ fd int }

// OpenCounter opens a counter that stands still. It counts what the kernel does on
// behalf of the thread, not the thread's own instructions.
func OpenCounter(e CounterEvent) (*Counter, error) {
	attr := unix.PerfEventAttr{
		Type: e.kind, Config: uint64(e.config), Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits: unix.PerfBitDisabled,
	}
	if e.kind == unix.PERF_TYPE_HARDWARE {
		attr.Bits |= unix.PerfBitExcludeUser | unix.PerfBitExcludeHv
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		return nil, ErrNoCounter
	case err != nil:
		return nil, fmt.Errorf("counting %s: %w%s", e.Name, err, missing(err, "CAP_PERFMON"))
	}
	return &Counter{fd}, nil
}

// Start begins to count.
func (c *Counter) Start() error { return unix.IoctlSetInt(c.fd, unix.PERF_EVENT_IOC_ENABLE, 0) }

// Stop ends counting and returns the count.
func (c *Counter) Stop() (uint64, error) {
	if err := unix.IoctlSetInt(c.fd, unix.PERF_EVENT_IOC_DISABLE, 0); err != nil {
		return 0, err
	}
	var value [8]byte
	if _, err := unix.Read(c.fd, value[:]); err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(value[:]), nil
}

// Close gives the counter back.
func (c *Counter) Close() error { return unix.Close(c.fd) }
