package kernel

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DoLong makes the call as Do does, for runs of many repetitions: the Go scheduler is
// told, so that garbage collection does not wait for it. EINTR is returned: the
// repetitions so far have taken place.
func (r *Run) DoLong() syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_BPF, cmdProgRun, uintptr(unsafe.Pointer(&r.attr)), unsafe.Sizeof(r.attr))
	return errno
}
