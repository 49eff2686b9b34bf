package trigger

import (
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Bits of the flags of connections.
const (
	inOrder    = 1 << iota // closed by FIN from both sides, else reset
	noDelay                // TCP_NODELAY
	echo                   // the server sends back what it received
	keepAlive              // SO_KEEPALIVE
	windowed               // TCP_WINDOW_CLAMP of the listener
	reno                   // congestion control, else the namespace's default
	allConnect = 1<<iota - 1
)

// sockOps opens a TCP connection over loopback, sends the packet through it in
// pieces and closes it. Both ends are in the cgroup, so the program sees active
// and passive side, timeouts aside.
func sockOps() Kind {
	fields := append(connected(), options()...)
	return Kind{
		Name:  "sock_ops",
		Event: "a TCP connection over loopback, opened, used and closed",
		Fields: sorted(append(fields, piecesField(),
			corpus.Field{Name: "flags", Offset: atFlags, Size: 1, Max: allConnect, Values: []uint64{inOrder, noDelay, echo, keepAlive, windowed, reno}},
			corpus.Field{Name: "tos", Offset: atTOS, Size: 1, Values: []uint64{0, 0x10, 0xb8, 0xff}},
			corpus.Field{Name: "maxseg", Offset: atSize, Size: 2, Values: []uint64{0, 88, 536, 1220, 1460, 9000, 32767}},
		)),
		Packet: corpus.Bounds{Max: 4096}, Payload: true,
		Start: func(p Program) (Trigger, error) {
			c, err := attachedCgroup(&p)
			if err != nil {
				return nil, err
			}
			return &connection{cgroup: c, buf: make([]byte, 0, 2*4096)}, nil
		},
	}
}

// connection is the trigger of sock_ops programs.
type connection struct {
	*cgroup
	buf []byte
}

// Fire implements Trigger. Errno is connect's, Address the server's idea of its
// client, Packet what the server received, behind it what the client did.
func (c *connection) Fire(context, packet []byte, seen *Seen) error {
	ipv6, flags := context[atIPv6] != 0, context[atFlags]
	to, from := ends(context)
	*seen = Seen{Socket: NoSocket}
	listener, errno := listen(to)
	if errno != 0 {
		seen.Errno = errno
		return nil
	}
	defer listener.close()
	tune(listener, context)
	client, errno := newSocket(ipv6, unix.SOCK_STREAM, 0)
	if errno != 0 {
		return errno
	}
	defer client.close()
	tune(client, context)
	if seen.Errno = client.bind(from); seen.Errno != 0 {
		return nil
	}
	if seen.Errno = client.connect(to); seen.Errno != 0 {
		return nil
	}
	server := listener.accept()
	if server == noSocket {
		return nil
	}
	defer server.close()
	seen.Socket = 0
	c.talk(client, server, context, packet)
	seen.Packet = c.buf
	if flags&inOrder != 0 {
		_ = unix.Shutdown(int(client), unix.SHUT_WR)
		_ = unix.Shutdown(int(server), unix.SHUT_WR)
	}
	if sa, err := unix.Getpeername(int(server)); err == nil {
		seen.Address = addressOf(sa)
	}
	return nil
}

// tune sets the options that the input chose.
func tune(s socket, context []byte) {
	s.mark(context)
	s.set(unix.IPPROTO_IP, unix.IP_TOS, int(context[atTOS]))
	if n := half(context, atSize); n != 0 {
		s.set(unix.IPPROTO_TCP, unix.TCP_MAXSEG, int(n))
	}
	flags := context[atFlags]
	if flags&noDelay != 0 {
		s.set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if flags&keepAlive != 0 {
		s.set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}
	if flags&windowed != 0 {
		s.set(unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, 1024)
	}
	if flags&reno != 0 {
		_ = unix.SetsockoptString(int(s), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
	}
}

// talk sends the packet in pieces, as far as it goes without waiting.
func (c *connection) talk(client, server socket, context, packet []byte) {
	c.buf = c.buf[:0]
	for piece := range pieces(packet, max(int(context[atCount]), 1)) {
		if client.send(piece, 0) != 0 {
			break
		}
	}
	c.buf, _ = server.receive(c.buf)
	if n := len(c.buf); context[atFlags]&echo != 0 && n > 0 && server.send(c.buf, 0) == 0 {
		c.buf, _ = client.receive(c.buf)
	}
}

func piecesField() corpus.Field {
	return corpus.Field{Name: "pieces", Offset: atCount, Size: 1, Min: 1, Max: 8, Values: []uint64{1, 2, 3, 8}}
}

// pieces yields n parts of p of about the same size.
func pieces(p []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for left := n; left > 0 && len(p) > 0; left-- {
			size := (len(p) + left - 1) / left
			if !yield(p[:size]) {
				return
			}
			p = p[size:]
		}
	}
}
