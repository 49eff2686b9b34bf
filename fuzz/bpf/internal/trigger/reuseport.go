package trigger

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// maxGroup is the largest number of sockets that share a port.
const maxGroup = 8

// reuseport sends a datagram, or opens a connection, to a port that several sockets
// share.
func reuseport() Kind {
	fields := []corpus.Field{
		flag("ipv6", atIPv6), flag("stream", atStream),
		{Name: "sockets", Offset: atCount, Size: 1, Min: 1, Max: maxGroup, Values: []uint64{1, 2, maxGroup}},
		ports("port", atPort), ports("from_port", atFromPort),
	}
	fields = append(fields, address("addr", atTo, 4)...)
	return Kind{
		Name:   "sk_reuseport",
		Event:  "a datagram or a connection to a port that up to 8 sockets share",
		Fields: append(append(fields, address("from", atFrom, 4)...), options()...),
		Packet: corpus.Bounds{Max: maxDatagram}, Payload: true,
		Verdicts: verdicts("SK_DROP", "SK_PASS"),
		Start: func(p Program) (Trigger, error) {
			if err := prepareNamespace(); err != nil {
				return nil, err
			}
			t := &groupTrigger{program: p.Program, buf: make([]byte, 0, maxDatagram)}
			for _, m := range p.Maps {
				if m.Type() == ebpf.ReusePortSockArray {
					t.maps = append(t.maps, m)
				}
			}
			return t, nil
		},
	}
}

// groupTrigger is the trigger of sk_reuseport programs.
type groupTrigger struct {
	program *ebpf.Program
	maps    []*ebpf.Map
	group   [maxGroup]socket
	buf     []byte
}

// Fire implements Trigger. Errno is that of bind, send or connect, Socket the index
// in the group of the socket that was chosen, which is also its key in the
// program's maps, Packet what it received, Address its sender.
func (t *groupTrigger) Fire(context, packet []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	ipv6, stream := context[atIPv6] != 0, context[atStream] != 0
	to := fixed(endpoint(context, ipv6, atTo, atPort), serverPort)
	group := t.group[:min(max(int(context[atCount]), 1), maxGroup)]
	for i := range group {
		group[i] = noSocket
	}
	defer closeAll(group)
	for i := range group {
		if seen.Errno = t.join(group, i, to, stream); seen.Errno != 0 {
			return nil
		}
	}
	if err := t.fill(group); err != nil {
		return err
	}
	client, errno := newSocket(ipv6, kindOf(stream), 0)
	if errno != 0 {
		return errno
	}
	defer client.close()
	client.mark(context)
	if seen.Errno = client.bind(fixed(endpoint(context, ipv6, atFrom, atFromPort), clientPort)); seen.Errno != 0 {
		return nil
	}
	if stream {
		t.connect(client, group, to, seen)
		return nil
	}
	if seen.Errno = number(unix.Sendto(int(client), packet, unix.MSG_DONTWAIT, sockaddr(to))); seen.Errno == 0 {
		t.receive(group, seen)
	}
	return nil
}

func kindOf(stream bool) int {
	if stream {
		return unix.SOCK_STREAM
	}
	return unix.SOCK_DGRAM
}

// join makes socket i of the group; the first one brings the program.
func (t *groupTrigger) join(group []socket, i int, to Address, stream bool) (errno unix.Errno) {
	if group[i], errno = newSocket(to.Addr().Is6(), kindOf(stream), 0); errno != 0 {
		group[i] = noSocket
		return errno
	}
	s := group[i]
	s.set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if i == 0 {
		s.set(unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, t.program.FD())
	}
	if errno := s.bind(to); errno != 0 || !stream {
		return errno
	}
	return number(unix.Listen(int(s), 4))
}

// fill puts the group into the program's maps.
func (t *groupTrigger) fill(group []socket) error {
	for _, m := range t.maps {
		value := make([]byte, m.ValueSize())
		for i, s := range group[:min(len(group), int(m.MaxEntries()))] {
			binary.NativeEndian.PutUint32(value, uint32(s))
			if err := m.Put(uint32(i), value); err != nil {
				return fmt.Errorf("putting a socket into a map: %w", err)
			}
		}
	}
	return nil
}

// connect opens a connection. One that no socket of the group takes is refused.
func (t *groupTrigger) connect(client socket, group []socket, to Address, seen *Seen) {
	if seen.Errno = client.connect(to); seen.Errno != 0 {
		return
	}
	for i, s := range group {
		if conn := s.accept(); conn != noSocket {
			seen.Socket = uint32(i)
			if sa, err := unix.Getpeername(int(conn)); err == nil {
				seen.Address = addressOf(sa)
			}
			conn.close()
			return
		}
	}
}

// receive finds the socket that got the datagram.
func (t *groupTrigger) receive(group []socket, seen *Seen) {
	for i, s := range group {
		n, from, err := unix.Recvfrom(int(s), t.buf[:cap(t.buf)], unix.MSG_DONTWAIT)
		if err == nil {
			seen.Socket, seen.Packet, seen.Address = uint32(i), t.buf[:n], addressOf(from)
			return
		}
	}
}

// Close implements Trigger; sockets, and with them the program's attachment, end
// with each event.
func (t *groupTrigger) Close() error { return nil }
