package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// socketKind is the value of an entry in the contents of a map of sockets: the
// socket is opened when programs are loaded.
type socketKind string

// Sockets that a map may hold.
const (
	socketTCP socketKind = "tcp" // listens
	socketUDP socketKind = "udp" // is bound
)

// socketsFor is how many entries of a map of sockets are filled where nobody says
// which.
const socketsFor = 64

func holdsSockets(m *ebpf.MapSpec) bool { return m.Type == ebpf.SockMap || m.Type == ebpf.SockHash }

// encodeSocket reads the value of an entry in a map of sockets.
func encodeSocket(what string, v any) (socketKind, error) {
	v, at := unlocate(v)
	text, _ := v.(string)
	if kind := socketKind(text); kind == socketTCP || kind == socketUDP {
		return kind, nil
	}
	return "", fail(at, what, "takes %s for a socket that listens, or %s for one that is bound", socketTCP, socketUDP)
}

// checkSockets refuses sockets for programs of a type whose sockets are those of the
// event.
func (t *Target) checkSockets() error {
	if t.row.sockets {
		return nil
	}
	for name, m := range t.spec.Maps {
		if holdsSockets(m) && len(m.Contents) > 0 {
			return fmt.Errorf("map %q: a program of type %s gets sockets from its event, if at all: leave it empty", name, t.row.kind)
		}
	}
	return nil
}

// dropSockets takes the entries of maps of sockets away, which the library cannot
// store.
func dropSockets(spec *ebpf.CollectionSpec) {
	for _, m := range spec.Maps {
		if holdsSockets(m) {
			m.Contents = nil
		}
	}
}

// socketEntries returns what a map of sockets is filled with: what was chosen, or
// numbers as keys with TCP at the even ones and UDP at the odd ones. A key that is
// longer than a number begins with it.
func socketEntries(m *ebpf.MapSpec) []ebpf.MapKV {
	if len(m.Contents) > 0 {
		return m.Contents
	}
	n := min(m.MaxEntries, socketsFor)
	entries := make([]ebpf.MapKV, n)
	for i := range entries {
		key, kind := make([]byte, m.KeySize), socketTCP
		putInteger(key[:numberSize(len(key))], uint64(i), false)
		if i%2 == 1 {
			kind = socketUDP
		}
		entries[i] = ebpf.MapKV{Key: key, Value: kind}
	}
	return entries
}

// numberSize is the size of the number that a key of size bytes begins with.
func numberSize(size int) int {
	for _, n := range [...]int{4, 2} {
		if size >= n {
			return n
		}
	}
	return 1
}

// socketNotes says what fillSockets does.
func (t *Target) socketNotes(programs []*ebpf.ProgramSpec) []string {
	var notes []string
	for _, name := range mapsOf(t.spec, programs) {
		m := t.spec.Maps[name]
		if !holdsSockets(m) || len(m.Contents) > 0 {
			continue
		}
		note := fmt.Sprintf("map %q: sockets stand in for those that the loader adds, TCP at even indices and UDP at odd ones", name)
		if m.Type == ebpf.SockHash {
			note += "; a key begins with its index, unless maps in the target file has others"
		}
		notes = append(notes, note)
	}
	return notes
}

// fillSockets puts sockets into the maps of sockets that the target uses.
func (i *instance) fillSockets(t *Target) error {
	var open sockets
	i.also(open.Close)
	for name, m := range t.spec.Maps {
		if !holdsSockets(m) || t.shared(name) {
			continue
		}
		for _, entry := range socketEntries(m) {
			fd, err := open.add(entry.Value == socketTCP)
			if err != nil {
				return err
			}
			value := make([]byte, m.ValueSize) // 4 or 8 bytes, as the kernel has it
			putInteger(value, uint64(fd), false)
			if err := i.coll.Maps[name].Put(entry.Key, value); err != nil {
				return fmt.Errorf("putting a socket under key %x into map %q of program %q: %w", entry.Key, name, t.program, err)
			}
		}
	}
	return nil
}

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
