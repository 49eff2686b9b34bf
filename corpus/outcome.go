package corpus

import "syscall"

// Have says which parts of an outcome were recorded, or are wanted.
type Have uint32

const (
	// HaveRet is the return value and the errno of BPF_PROG_RUN.
	HaveRet Have = 1 << iota
	// HavePacket is the output packet.
	HavePacket
	// HaveContext is the output context.
	HaveContext
	// HaveMaps is a view of the maps after the last step.
	HaveMaps
	// HaveDuration is the run time of each step.
	HaveDuration
	// HaveCover is the feature vector of this input alone.
	HaveCover
	// HaveTrace is the order in which edges were last passed.
	HaveTrace
	// HaveEvents is what the kernel's log and the program's error stream said, as Events.
	HaveEvents
)

// StepOutcome is what one step gave.
type StepOutcome struct {
	// Ret is the program's return value; meaningless when Errno is not 0.
	Ret uint32
	// Errno is what BPF_PROG_RUN itself answered; 0 when it ran the program.
	Errno syscall.Errno
	// Packet is the packet after the run, as data_out gives it.
	Packet []byte
	// Context is the context after the run; empty when it was not recorded.
	Context []byte
	// Duration is the kernel's figure, in nanoseconds.
	Duration uint32
	// Faulted is the call that Step.Fault made fail, from 1 in the order of
	// Shape.Faults; 0 when none did, or when the input ran in a batch.
	Faulted uint32
	// Claim is the first of Shape.Claims, from 1, that did not hold in the run, and
	// ClaimValue the value that the register had last when it did not. Claim is 0 when all
	// held or none is checked.
	Claim      uint32
	ClaimValue uint64
}

// MapView reads the target's maps as the run left them.
type MapView interface {
	// Lookup appends the value of key to dst. ok is false when there is no entry.
	// An error means an unknown map, a key of the wrong size, or a kernel error.
	Lookup(dst []byte, name string, key []byte) (value []byte, ok bool, err error)
}

// Event is something the kernel or the program said during the run.
type Event struct {
	// Source is "kmsg", "stderr", "trace", or "xdp" for what happened to a live frame.
	Source, Text string
}

// Outcome is what running an input gave. It belongs to the executor that made
// it and is valid until that executor runs again.
type Outcome struct {
	Have   Have
	Steps  []StepOutcome
	Maps   MapView
	Events []Event
	// Cover is the feature vector of this input alone (see cover.Table).
	Cover []byte
	// Trace lists indices of edges in the order in which they were last passed.
	Trace []int
}
