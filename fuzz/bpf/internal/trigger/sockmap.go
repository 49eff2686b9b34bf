package trigger

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// maxStream bounds the bytes that go through a stream, so that they fit in the
// buffers of its sockets.
const maxStream = 4096

// pass is SK_PASS.
const pass = 1

// streams are two TCP connections over loopback with one end of each in the
// program's socket maps: the near end of the first under key 0, that of the second
// under key 1. The program is attached to the first map.
type streams struct {
	program *Program
	doors   [2]door
	maps    []*ebpf.Map
	own     *ebpf.Map // where the program has no map, closed with the trigger
	ends    [4]socket
	buf     []byte
	key     []byte
}

// Indices of the ends of streams, by which Seen.Socket names them.
const (
	near    = iota // key 0
	far            // the other end of it
	nearToo        // key 1
	farToo
)

func newStreams(p Program) (*streams, error) {
	if err := prepareNamespace(); err != nil {
		return nil, err
	}
	s := &streams{program: &p, buf: make([]byte, 0, 2*maxStream), ends: [4]socket{noSocket, noSocket, noSocket, noSocket}}
	s.doors[0].socket, s.doors[1].socket = noSocket, noSocket
	if s.maps = socketMaps(p.Maps); len(s.maps) == 0 {
		own, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 2})
		if err != nil {
			return nil, fmt.Errorf("making a socket map: %w", err)
		}
		s.own, s.maps = own, []*ebpf.Map{own}
	}
	return s, nil
}

// socketMaps returns the maps that hold sockets of streams, by name.
func socketMaps(maps map[string]*ebpf.Map) []*ebpf.Map {
	var names []string
	for name, m := range maps {
		if t := m.Type(); t == ebpf.SockMap || t == ebpf.SockHash {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	list := make([]*ebpf.Map, len(names))
	for i, name := range names {
		list[i] = maps[name]
	}
	return list
}

// attach attaches the program to the first map.
func (s *streams) attach(prog *ebpf.Program, attach ebpf.AttachType) error {
	err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: s.maps[0].FD(), Program: prog, Attach: attach})
	if err != nil {
		return fmt.Errorf("attaching to a socket map: %w", err)
	}
	return nil
}

// detach undoes attach.
func (s *streams) detach(prog *ebpf.Program, attach ebpf.AttachType) error {
	return link.RawDetachProgram(link.RawDetachProgramOptions{Target: s.maps[0].FD(), Program: prog, Attach: attach})
}

// Ports of the second connection. They are not those of the first, which may listen
// at every address.
const (
	secondServerPort = 40003
	secondClientPort = 40004
)

// second returns the ends of the second connection, which inputs do not choose.
func second() (to, from Address) {
	addr := netip.AddrFrom4([4]byte{127, 255, 0, 1})
	return netip.AddrPortFrom(addr, secondServerPort), netip.AddrPortFrom(addr, secondClientPort)
}

// open makes fresh connections and puts them into the maps. Errno says that there
// is no connection between the addresses that the input chose.
func (s *streams) open(context []byte) (errno syscall.Errno, err error) {
	to, from := ends(context)
	if s.ends[far], s.ends[near], errno = s.doors[0].pair(to, from); errno != 0 {
		return errno, nil
	}
	to, from = second()
	if s.ends[farToo], s.ends[nearToo], errno = s.doors[1].pair(to, from); errno != 0 {
		return errno, nil
	}
	for _, m := range s.maps {
		for key, end := range [...]socket{s.ends[near], s.ends[nearToo]} {
			if uint32(key) >= m.MaxEntries() {
				continue
			}
			if err := s.put(m, key, end); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

// put stores a socket under a number, which a key of any size begins with.
func (s *streams) put(m *ebpf.Map, key int, end socket) error {
	size := int(m.KeySize())
	s.key = slices.Grow(s.key[:0], max(size, 4))[:max(size, 4)]
	clear(s.key)
	binary.NativeEndian.PutUint32(s.key, uint32(key))
	value := make([]byte, m.ValueSize())
	binary.NativeEndian.PutUint32(value, uint32(end))
	if err := m.Put(s.key[:size], value); err != nil {
		return fmt.Errorf("putting a socket into a map: %w", err)
	}
	return nil
}

// collect reads what has arrived anywhere. Where the rest of size bytes may be on
// its way it waits for it, first as long as limit says.
func (s *streams) collect(size int, limit time.Duration, seen *Seen) {
	s.buf = s.buf[:0]
	for s.read(seen); len(s.buf) < size; s.read(seen) {
		if ret, runs := s.program.last(); runs == 0 || ret != pass {
			break
		}
		var fds [len(s.ends)]unix.PollFd
		for i, end := range s.ends {
			fds[i] = unix.PollFd{Fd: int32(end), Events: unix.POLLIN}
		}
		if !poll(fds[:], limit) || !readable(fds[:]) {
			break
		}
		limit = min(limit, moment)
	}
	seen.Packet = s.buf
}

// readable reports whether there is anything but an error or an end.
func readable(fds []unix.PollFd) bool {
	return slices.ContainsFunc(fds, func(fd unix.PollFd) bool {
		return fd.Revents&unix.POLLIN != 0 && fd.Revents&(unix.POLLHUP|unix.POLLERR) == 0
	})
}

func (s *streams) read(seen *Seen) {
	for i, end := range s.ends {
		var any bool
		if s.buf, any = end.receive(s.buf); any && seen.Socket == NoSocket {
			seen.Socket = uint32(i)
		}
	}
}

// Close gives back sockets and what the trigger made.
func (s *streams) Close() error {
	closeAll(s.ends[:])
	for i := range s.doors {
		s.doors[i].socket.close()
	}
	return s.own.Close()
}
