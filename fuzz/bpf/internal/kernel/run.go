// Package kernel speaks to the running kernel: it runs programs and reads and writes
// maps with as little work as a system call allows, gives threads a network
// namespace of their own, and measures what this kernel can do.
package kernel

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of bpf(2).
const (
	cmdMapLookup  = 1
	cmdMapUpdate  = 2
	cmdMapDelete  = 3
	cmdMapNext    = 4
	cmdProgRun    = 10
	cmdMapPop     = 21 // BPF_MAP_LOOKUP_AND_DELETE_ELEM
	runAttrSize   = 80
	mapAttrSize   = 32
	maxInterrupts = 1000
)

// runAttr is the part of union bpf_attr that BPF_PROG_RUN reads.
type runAttr struct {
	fd, ret               uint32
	sizeIn, sizeOut       uint32
	dataIn, dataOut       uint64
	repeat, duration      uint32
	ctxSizeIn, ctxSizeOut uint32
	ctxIn, ctxOut         uint64
	flags, cpu, batchSize uint32
	_                     uint32
}

// Run is one BPF_PROG_RUN call, made over and over. Its zero value, with FD set,
// passes no data. The kernel reads and writes the buffers during Do only; they
// must be on the heap or in mapped memory. It is not safe for concurrent use.
type Run struct {
	attr runAttr
	keep [4][]byte
}

// NewRun returns a call of the program with that file descriptor.
func NewRun(fd int) *Run { return &Run{attr: runAttr{fd: uint32(fd)}} }

// SetData sets data_in and data_out. Empty slices pass nothing.
func (r *Run) SetData(in, out []byte) {
	r.keep[0], r.keep[1] = in, out
	r.attr.dataIn, r.attr.sizeIn = address(in)
	r.attr.dataOut, r.attr.sizeOut = address(out)
}

// SetContext sets ctx_in and ctx_out. Empty slices pass nothing.
func (r *Run) SetContext(in, out []byte) {
	r.keep[2], r.keep[3] = in, out
	r.attr.ctxIn, r.attr.ctxSizeIn = address(in)
	r.attr.ctxOut, r.attr.ctxSizeOut = address(out)
}

// SetFlags sets flags and processor.
func (r *Run) SetFlags(flags, cpu uint32) { r.attr.flags, r.attr.cpu = flags, cpu }

// SetRepeat sets how often the kernel runs the program; 0 means once.
func (r *Run) SetRepeat(n uint32) { r.attr.repeat = n }

func address(b []byte) (addr uint64, size uint32) {
	if len(b) == 0 {
		return 0, 0
	}
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), uint32(len(b))
}

// Do makes the call and returns the kernel's answer. It does not tell the Go
// scheduler, which would cost a fifth of the call: use it for runs of
// microseconds.
//
// The kernel updates the sizes of data_out and ctx_out, so SetData and SetContext
// come before every call that has outputs.
func (r *Run) Do() syscall.Errno {
	for range maxInterrupts {
		_, _, errno := unix.RawSyscall(unix.SYS_BPF, cmdProgRun, uintptr(unsafe.Pointer(&r.attr)), runAttrSize)
		if errno != unix.EINTR {
			runtime.KeepAlive(r)
			return errno
		}
	}
	return unix.EINTR
}

// Ret returns the program's return value.
func (r *Run) Ret() uint32 { return r.attr.ret }

// DataSize returns the size that data_out has, or with ENOSPC would have had.
func (r *Run) DataSize() int { return int(r.attr.sizeOut) }

// ContextSize returns the size of ctx_out.
func (r *Run) ContextSize() int { return int(r.attr.ctxSizeOut) }

// Duration returns the mean run time in nanoseconds.
func (r *Run) Duration() uint32 { return r.attr.duration }
