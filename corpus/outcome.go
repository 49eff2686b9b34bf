package corpus

import (
	"fmt"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

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
	// HaveInsns is how many instructions of the program each step executed, and Outcome.Lines.
	HaveInsns
	// HaveFill is how full maps are after the last step.
	HaveFill
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
	// Insns is how many instructions of the program the step executed, helpers' own not
	// among them. It follows from the input alone.
	Insns uint64
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
	// Fill has an element for each map that gets full, in the order of Shape.Maps.
	Fill []MapFill
	// Lines are the source lines on which most instructions were executed, over all steps,
	// those with the most first. There is at least one where there are instructions.
	Lines []LineCost
}

// MapFill is how full a map is after a run.
type MapFill struct {
	Map string
	// Entries are in it, Start were when the run began, those that the input brings among
	// them.
	Entries, Start int
	// Max is how many it takes; there is no room for more.
	Max int
}

// LineCost is how many instructions were executed on a source line.
type LineCost struct {
	Func string
	// Pos is zero where the object has no lines: then it is all of the function.
	Pos   cover.Pos
	Insns uint64
}

// String says how many instructions, and where.
func (l *LineCost) String() string {
	if at := l.Pos.String(); at != "" {
		return fmt.Sprintf("%d instructions at %s in %s", l.Insns, at, l.Func)
	}
	return fmt.Sprintf("%d instructions in %s", l.Insns, l.Func)
}
