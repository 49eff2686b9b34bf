package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// machine is what a program runs in: the processors, and what there is in a
// worker's network namespace besides lo. The zero value, like nil, has nothing.
type machine struct {
	cpus int
	// last is the largest index of an interface, queues how many receive queues
	// those behind lo have.
	last, queues int
}

func (m *machine) lastIndex() uint64 {
	if m == nil || m.last == 0 {
		return lo
	}
	return uint64(m.last)
}

// enter moves the calling goroutine to a thread with a network namespace of its own
// (see kernel.Isolate), with the interfaces that the target's inputs may name.
func (t *Target) enter(worker int) error {
	if err := kernel.Isolate(worker); err != nil {
		return err
	}
	if t.machine.last == 0 {
		return nil
	}
	pair, err := kernel.AddPair()
	if err != nil {
		return err
	}
	if pair.Last != t.machine.last {
		return fmt.Errorf("the interfaces of a private network namespace have indices %d and %d, not up to %d as when the target was made", pair.First, pair.Last, t.machine.last)
	}
	return nil
}

// addNetwork finds out what interfaces enter can add.
func (m *machine) addNetwork() {
	_ = kernel.Isolated(0, func() error {
		if pair, err := kernel.AddPair(); err == nil && pair.First == lo+1 {
			m.last, m.queues = pair.Last, kernel.Queues
		}
		return nil // without interfaces there is lo
	})
}

// socketNotes says what fillSockets does.
func (t *Target) socketNotes(programs []*ebpf.ProgramSpec) []string {
	var notes []string
	for _, name := range mapsOf(t.spec, programs) {
		switch t.spec.Maps[name].Type {
		case ebpf.SockMap:
			notes = append(notes, fmt.Sprintf("map %q: sockets stand in for those that the loader adds, TCP at even indices and UDP at odd ones", name))
		case ebpf.SockHash:
			notes = append(notes, fmt.Sprintf("map %q: it stays empty, since nothing says what its keys mean; a sockmap is filled", name))
		}
	}
	return notes
}

// fillSockets puts sockets into the maps of sockets that the target uses: at even
// indices one that listens for TCP, at odd ones one for UDP.
func (i *instance) fillSockets(t *Target) error {
	var open sockets
	i.also(open.Close)
	for name, m := range t.spec.Maps {
		if m.Type != ebpf.SockMap {
			continue
		}
		for n := range min(m.MaxEntries, socketsFor) {
			fd, err := open.add(n%2 == 0)
			if err != nil {
				return err
			}
			if err := i.coll.Maps[name].Put(n, uint64(fd)); err != nil {
				return fmt.Errorf("putting socket %d into map %q of program %q: %w", n, name, t.program, err)
			}
		}
	}
	return nil
}

// socketsFor is how many entries of a map of sockets are filled.
const socketsFor = 64

// sockets are those that programs choose from. They accept both families and are bound to ports that the kernel chooses.
type sockets []int

func (s *sockets) Close() error {
	for _, fd := range *s {
		unix.Close(fd)
	}
	*s = nil
	return nil
}

// add opens a socket in the thread's network namespace: one that listens for TCP, or
// one that is bound for UDP.
func (s *sockets) add(stream bool) (int, error) {
	typ := unix.SOCK_DGRAM
	if stream {
		typ = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(unix.AF_INET6, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("opening a socket to choose: %w", err)
	}
	*s = append(*s, fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
		return 0, fmt.Errorf("opening a socket to choose for both families: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{}); err != nil {
		return 0, fmt.Errorf("binding a socket to choose: %w", err)
	}
	if stream {
		if err := unix.Listen(fd, 1); err != nil {
			return 0, fmt.Errorf("listening on a socket to choose: %w", err)
		}
	}
	return fd, nil
}
