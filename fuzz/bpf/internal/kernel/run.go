// Package kernel speaks to the running kernel: it runs programs and reads and writes
// maps with as little work as a system call allows, gives threads a network
// namespace of their own, and measures what this kernel can do.
package kernel

import (
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
	maxInterrupts = 1000

	cmdMapUpdateBatch = 26
	cmdMapDeleteBatch = 27
)

// runAttr is the part of union bpf_attr that BPF_PROG_RUN reads, as machines with
// 64 bits lay it out. Addresses are pointers, so that what they point to is kept
// and does not lie on a stack, which moves.
type runAttr struct {
	fd, ret               uint32
	sizeIn, sizeOut       uint32
	dataIn, dataOut       unsafe.Pointer
	repeat, duration      uint32
	ctxSizeIn, ctxSizeOut uint32
	ctxIn, ctxOut         unsafe.Pointer
	flags, cpu, batchSize uint32
	_                     uint32
}

// Other machines do not compile this.
var (
	_ [80]byte = [unsafe.Sizeof(runAttr{})]byte{}
	_ [32]byte = [unsafe.Sizeof(mapAttr{})]byte{}
	_ [56]byte = [unsafe.Sizeof(batchAttr{})]byte{}
)

// Run is one BPF_PROG_RUN call, made over and over. The kernel reads and writes the
// buffers during Do only. It is not safe for concurrent use.
type Run struct{ attr runAttr }

// NewRun returns a call of the program with that file descriptor.
func NewRun(fd int) *Run { return &Run{attr: runAttr{fd: uint32(fd)}} }

// SetData sets data_in and data_out. Empty slices pass nothing.
func (r *Run) SetData(in, out []byte) {
	r.attr.dataIn, r.attr.sizeIn = address(in)
	r.attr.dataOut, r.attr.sizeOut = address(out)
}

// SetContext sets ctx_in and ctx_out. Empty slices pass nothing.
func (r *Run) SetContext(in, out []byte) {
	r.attr.ctxIn, r.attr.ctxSizeIn = address(in)
	r.attr.ctxOut, r.attr.ctxSizeOut = address(out)
}

// SetFlags sets flags and processor.
func (r *Run) SetFlags(flags, cpu uint32) { r.attr.flags, r.attr.cpu = flags, cpu }

// SetBatchSize sets batch_size, which only live frames have; 0 leaves it to the kernel.
func (r *Run) SetBatchSize(n uint32) { r.attr.batchSize = n }

// SetRepeat sets how often the kernel runs the program; 0 means once.
func (r *Run) SetRepeat(n uint32) { r.attr.repeat = n }

// address returns no address for no bytes: the kernel takes one with a size of 0 for
// a buffer without end.
func address(b []byte) (addr unsafe.Pointer, size uint32) {
	if len(b) == 0 {
		return nil, 0
	}
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// call makes a call of bpf(2), again when a signal interrupts it. It does not tell
// the Go scheduler, which would cost a fifth of a call of half a microsecond.
func call(cmd uintptr, attr unsafe.Pointer, size uintptr) syscall.Errno {
	for range maxInterrupts {
		_, _, errno := unix.RawSyscall(unix.SYS_BPF, cmd, uintptr(attr), size)
		if errno != unix.EINTR {
			return errno
		}
	}
	return unix.EINTR
}

// Do makes the call and returns the kernel's answer. ENOSPC says that the program
// ran, and that its output is cut off at the size of data_out. Use it for runs of
// microseconds: garbage collection waits for it.
//
// The kernel updates the sizes of data_out and ctx_out, so SetData and SetContext
// come before every call that has outputs.
func (r *Run) Do() syscall.Errno {
	return call(cmdProgRun, unsafe.Pointer(&r.attr), unsafe.Sizeof(r.attr))
}

// Ret returns the program's return value.
func (r *Run) Ret() uint32 { return r.attr.ret }

// DataSize returns the size that data_out has, or with ENOSPC would have had.
func (r *Run) DataSize() int { return int(r.attr.sizeOut) }

// ContextSize returns the size of ctx_out.
func (r *Run) ContextSize() int { return int(r.attr.ctxSizeOut) }

// Duration returns the mean run time in nanoseconds.
func (r *Run) Duration() uint32 { return r.attr.duration }
