package trigger

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a non-blocking socket.
type socket int

// noSocket is what nothing was opened for.
const noSocket socket = -1

func newSocket(ipv6 bool, kind, protocol int) (socket, syscall.Errno) {
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return noSocket, number(err)
	}
	return socket(fd), 0
}

// number returns the errno that an error of x/sys is.
func number(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return unix.EINVAL
}

// sockaddr makes what system calls take.
func sockaddr(a Address) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addressOf(sa unix.Sockaddr) Address {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return Address{}
}

func (s socket) bind(a Address) syscall.Errno { return number(unix.Bind(int(s), sockaddr(a))) }

// connect connects and waits for the answer, which on loopback is there at once.
func (s socket) connect(a Address) syscall.Errno {
	errno := number(unix.Connect(int(s), sockaddr(a)))
	if errno != unix.EINPROGRESS {
		return errno
	}
	if !s.wait(unix.POLLOUT, patience) {
		return unix.ETIMEDOUT
	}
	pending, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return number(err)
	}
	return syscall.Errno(pending)
}

// accept returns a connection that is waiting, noSocket if there is none.
func (s socket) accept() socket {
	fd, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(s), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return noSocket
	}
	return socket(fd)
}

// set sets an integer option; what the kernel thinks of the value is part of the
// event.
func (s socket) set(level, option, value int) {
	_ = unix.SetsockoptInt(int(s), level, option, value)
}

// mark sets what inputs of all kinds choose for a socket.
func (s socket) mark(context []byte) {
	s.set(unix.SOL_SOCKET, unix.SO_MARK, int(word(context, atMark)))
	s.set(unix.SOL_SOCKET, unix.SO_PRIORITY, int(int32(word(context, atPriority))))
}

// send sends all of p as far as the socket takes it without waiting.
func (s socket) send(p []byte, flags int) syscall.Errno {
	for {
		n, err := unix.SendmsgN(int(s), p, nil, nil, flags|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if err != nil {
			return number(err)
		}
		if p = p[n:]; len(p) == 0 {
			return 0
		}
	}
}

// receive appends what is there to p, within its capacity, and says whether there
// was anything.
func (s socket) receive(p []byte) ([]byte, bool) {
	any := false
	for len(p) < cap(p) {
		n, err := unix.Read(int(s), p[len(p):cap(p)])
		if err != nil || n <= 0 {
			break
		}
		p, any = p[:len(p)+n], true
	}
	return p, any
}

// name returns the socket's own address.
func (s socket) name() Address {
	sa, err := unix.Getsockname(int(s))
	if err != nil {
		return Address{}
	}
	return addressOf(sa)
}

// wait waits until the socket is ready.
func (s socket) wait(events int16, limit time.Duration) bool {
	fds := [1]unix.PollFd{{Fd: int32(s), Events: events}}
	return poll(fds[:], limit)
}

// poll waits until one of the sockets is ready. Signals are blocked in threads
// that cause events.
func poll(fds []unix.PollFd, limit time.Duration) bool {
	n, err := unix.Poll(fds, int(limit.Milliseconds()))
	return err == nil && n > 0
}

// close closes the socket at once: a connection is reset, so nothing of it is
// left that the kernel's timers would come back to.
func (s *socket) close() {
	if *s == noSocket {
		return
	}
	_ = unix.SetsockoptLinger(int(*s), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(int(*s))
	*s = noSocket
}

// closeAll closes sockets in order.
func closeAll(list []socket) {
	for i := range list {
		list[i].close()
	}
}

// listen makes a TCP socket that accepts connections at a.
func listen(a Address) (socket, syscall.Errno) {
	s, errno := newSocket(a.Addr().Is6(), unix.SOCK_STREAM, 0)
	if errno != 0 {
		return noSocket, errno
	}
	s.set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if errno = s.bind(a); errno == 0 {
		errno = number(unix.Listen(int(s), 16))
	}
	if errno != 0 {
		s.close()
	}
	return s, errno
}

// door is a listener that stays open while connections keep coming to one address.
type door struct {
	socket socket
	at     Address
}

// pair makes a TCP connection between two addresses.
func (d *door) pair(to, from Address) (client, server socket, errno syscall.Errno) {
	if d.socket == noSocket || d.at != to {
		d.socket.close()
		if d.socket, errno = listen(to); errno != 0 {
			return noSocket, noSocket, errno
		}
		d.socket.set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // the servers' as well
		d.at = to
	}
	if client, errno = newSocket(to.Addr().Is6(), unix.SOCK_STREAM, 0); errno != 0 {
		return noSocket, noSocket, errno
	}
	client.set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if errno = client.bind(from); errno == 0 {
		if errno = client.connect(to); errno == 0 {
			if server = d.socket.accept(); server != noSocket {
				return client, server, 0
			}
			errno = unix.ECONNABORTED
		}
	}
	client.close()
	return noSocket, noSocket, errno
}
