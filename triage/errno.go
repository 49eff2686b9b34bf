package triage

import (
	"fmt"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// newErrno objects to answers of BPF_PROG_RUN that the input does not explain.
func newErrno(shape *corpus.Shape) Oracle {
	return Oracle{
		Name: "errno", Need: corpus.HaveRet, When: Every, Returns: func(uint32) bool { return true },
		Judge: func(in *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Steps {
				errno := out.Steps[i].Errno
				if errno == 0 || i < len(in.Steps) && explained(shape, in, &in.Steps[i], errno) {
					continue
				}
				if errno == syscall.EBADMSG {
					return fmt.Errorf("BPF_PROG_RUN answered EBADMSG to step %d: the program changed bytes without updating skb->csum", i)
				}
				return fmt.Errorf("BPF_PROG_RUN answered %d (%w) to step %d, which no rule of %s explains", int(errno), errno, i, shape.Type)
			}
			return nil
		},
	}
}

// explained reports whether the kernel's rules give errno to the step whatever the
// program does.
func explained(shape *corpus.Shape, in *corpus.Input, step *corpus.Step, errno syscall.Errno) bool {
	switch errno {
	case syscall.EINTR, syscall.EAGAIN, syscall.ENOMEM:
		return true // the machine's state: a signal, no memory left
	case syscall.ENOSPC:
		return true // the packet grew beyond the executor's buffer; its beginning is there
	case syscall.ENODATA:
		return true // an executor's word for an event that did not reach the program
	case syscall.EINVAL:
		// Lengths outside the limits, and flags or a CPU that the type does not take.
		return step.Flags != 0 || step.CPU != 0 || shape.Check(in) != nil
	case syscall.ENXIO:
		return step.CPU != 0 // it is offline
	}
	return false
}
