package bpf

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// logTail is how many of the verifier log's last lines a message shows.
const logTail = 8

// RejectedError says that the kernel does not accept a program. Its text is one
// line and the last lines of the verifier log; formatted with %+v it has the whole
// log. It unwraps to the library's error, an *ebpf.VerifierError where there is a log.
type RejectedError struct {
	Program string
	// Type is the program's kind as bpftool prints it, "" where that is not known.
	Type string
	Err  error
}

// Log returns the verifier's log line by line, nil where the kernel gave none.
func (e *RejectedError) Log() []string {
	if v, ok := errors.AsType[*ebpf.VerifierError](e.Err); ok {
		return v.Log
	}
	return nil
}

func (e *RejectedError) Unwrap() error { return e.Err }

func (e *RejectedError) Error() string { return e.text(logTail) }

// Format implements fmt.Formatter.
func (e *RejectedError) Format(s fmt.State, verb rune) {
	lines := logTail
	if verb == 'v' && s.Flag('+') {
		lines = -1
	}
	_, _ = io.WriteString(s, e.text(lines))
}

// text shows the last lines of the log, all of them if lines is negative.
func (e *RejectedError) text(lines int) string {
	var verifier *ebpf.VerifierError
	if !errors.As(e.Err, &verifier) {
		return fmt.Sprintf("the kernel rejects program %q: %v", e.Program, e.Err)
	}
	log := verifier.Log
	if lines >= 0 && len(log) > lines {
		log = log[len(log)-lines:]
	}
	head := fmt.Sprintf("the kernel's verifier rejects program %q: %v", e.Program, verifier.Cause)
	if len(log) == 0 {
		return head
	}
	return head + "\n\t" + strings.Join(log, "\n\t")
}

// explain gives an error of loading the target the user's terms.
func (t *Target) explain(err error) error {
	if hint := kernel.Explain(err); hint != "" {
		return fmt.Errorf("loading program %q: %w%s", t.program, err, hint)
	}
	if errors.Is(err, unix.EPERM) && t.row.tracing {
		return fmt.Errorf("loading program %q: this kernel answers EPERM to programs of type %s whatever the capabilities (lockdown and security modules do that); run it on another kernel: %w",
			t.program, t.row.kind, err)
	}
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) || isRejection(err) {
		return &RejectedError{Program: t.program, Type: t.row.kind, Err: err}
	}
	return fmt.Errorf("loading program %q: %w", t.program, err)
}

// isRejection reports whether an errno of loading is one that the verifier gives.
func isRejection(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains([]syscall.Errno{
		unix.EINVAL, unix.EACCES, unix.E2BIG, unix.ENOSPC, unix.EFAULT, unix.ERANGE, unix.EOPNOTSUPP, unix.ELOOP, unix.EPERM, enotsupp,
	}, errno)
}

// enotsupp is the kernel's own ENOTSUPP, which has no name in userspace.
const enotsupp = syscall.Errno(524)
