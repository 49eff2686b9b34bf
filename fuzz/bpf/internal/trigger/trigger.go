// Package trigger causes the events that run programs which BPF_PROG_RUN refuses:
// it attaches a program inside the calling thread's private network namespace and
// a cgroup of its own, and then opens connections, sends packets and makes system
// calls there, as an input says.
//
// Everything happens on the thread that started a trigger, which has to be
// isolated as kernel.Isolate does it. Nothing waits longer than patience for
// anything, so an event that a program swallows costs time but does not hang.
package trigger

import (
	"fmt"
	"syscall"
	"time"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// patience bounds each wait for something that has no reason not to happen at
// once: loopback delivers while the sender is still in its system call, and only
// redirected stream data goes through a kernel thread.
const patience = 20 * time.Millisecond

// moment is a wait for what should be there already.
const moment = time.Millisecond

// ContextSize is the length in bytes of what an event carries besides a packet,
// and of what is seen of it afterwards, for all kinds alike.
const ContextSize = 64

// Kind is a way to make programs of one type run.
type Kind struct {
	// Name is the program type as bpftool prints it.
	Name string
	// Event says how the program is made to run, for people.
	Event string
	// Fields lists what an input chooses, in order of offset. Out of range values
	// have been folded into the range before Fire sees them.
	Fields []corpus.Field
	// Packet bounds the length of the packet; Max 0 means that the event has none.
	// Where Payload is set it is bytes for an application, else an Ethernet frame.
	Packet  corpus.Bounds
	Payload bool
	// Verdicts are the values that the program may return.
	Verdicts []corpus.Verdict
	// Start attaches the program. The trigger uses it and the maps until it is
	// closed, and leaves them to the caller.
	Start func(Program) (Trigger, error)
}

// Program is what Start attaches.
type Program struct {
	Program *ebpf.Program
	Attach  ebpf.AttachType
	// Maps are the program's own: sockets are put into its socket maps.
	Maps map[string]*ebpf.Map
	// Last returns what the program returned when it ran last, and how often it ran,
	// since the event began. A nil Last is taken for a program that ran and let
	// everything pass.
	Last func() (ret, runs uint32)
}

func (p *Program) last() (ret, runs uint32) {
	if p.Last == nil {
		return 1, 1
	}
	return p.Last()
}

// Trigger causes events.
type Trigger interface {
	// Fire causes one event and records what is seen of it in seen. Context has
	// ContextSize bytes. Every socket that it opens is closed when it returns. An
	// error means that the trigger no longer works, never that the kernel or the
	// program refused something.
	Fire(context, packet []byte, seen *Seen) error
	// Close detaches the program and gives back sockets, devices and the cgroup.
	Close() error
}

// Seen is what can be observed of an event from outside.
type Seen struct {
	// Errno is what the system call at the heart of the event answered.
	Errno syscall.Errno
	// Socket is the index of the socket that received something, NoSocket if none did.
	Socket uint32
	// Address is one that the event is about; each kind says which.
	Address Address
	// Packet is what was received; its memory is the trigger's until the next event.
	Packet []byte
}

// NoSocket says that no socket received anything.
const NoSocket = ^uint32(0)

// Kinds returns the kinds of all types that need a trigger.
func Kinds() []Kind {
	kinds := []Kind{sockOps(), seg6Local(), skMsg(), reuseport()}
	for _, attach := range [...]ebpf.AttachType{ebpf.AttachSkSKBStreamParser, ebpf.AttachSkSKBStreamVerdict} {
		kinds = append(kinds, skSKB(attach))
	}
	for attach := range addrCalls() {
		kinds = append(kinds, sockAddr(attach))
	}
	for attach := range sockCalls() {
		kinds = append(kinds, sock(attach))
	}
	return kinds
}

// For returns how to make a program of the given type run. The error names a type,
// or a way to attach, that has no trigger.
func For(t ebpf.ProgramType, attach ebpf.AttachType) (Kind, error) {
	switch t {
	case ebpf.SockOps:
		return sockOps(), nil
	case ebpf.LWTSeg6Local:
		return seg6Local(), nil
	case ebpf.SkMsg:
		return skMsg(), nil
	case ebpf.SkReuseport:
		return reuseport(), nil
	case ebpf.SkSKB:
		return skSKB(attach), nil
	case ebpf.CGroupSockAddr:
		if addrCalls()[attach] != nil {
			return sockAddr(attach), nil
		}
	case ebpf.CGroupSock:
		if sockCalls()[attach] != nil {
			return sock(attach), nil
		}
	default:
		return Kind{}, fmt.Errorf("there is no trigger for programs of type %s", t)
	}
	return Kind{}, fmt.Errorf("there is no trigger for programs of type %s that attach as %s", t, attach)
}

// verdicts names values from 0.
func verdicts(names ...string) []corpus.Verdict {
	list := make([]corpus.Verdict, len(names))
	for i, name := range names {
		list[i] = corpus.Verdict{Value: uint32(i), Name: name}
	}
	return list
}
