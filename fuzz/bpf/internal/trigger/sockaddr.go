package trigger

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// addrCall is a system call that a program of type cgroup_sock_addr sees.
type addrCall struct {
	name, event string
	ipv6        bool
	// binds says that the program may also return the flag that says to let
	// privileged ports pass.
	binds bool
	// stream says that sockets of both kinds make the call.
	stream, packet bool
	fire           func(a *addrTrigger, s socket, to Address, packet []byte, seen *Seen)
}

// addrCalls has a row for each way to attach that has a trigger.
func addrCalls() map[ebpf.AttachType]*addrCall {
	calls := map[ebpf.AttachType]*addrCall{}
	add := func(v4, v6 ebpf.AttachType, c addrCall) {
		six := c
		six.ipv6 = true
		calls[v4], calls[v6] = &c, &six
	}
	add(ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect, addrCall{
		name: "connect", stream: true, fire: (*addrTrigger).connect,
		event: "connect(2) of a TCP or UDP socket; everything that is connected to is there",
	})
	add(ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind, addrCall{
		name: "bind", stream: true, binds: true, fire: (*addrTrigger).bind,
		event: "bind(2) of a TCP or UDP socket; all addresses are local",
	})
	add(ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP6Sendmsg, addrCall{
		name: "sendmsg", packet: true, fire: (*addrTrigger).sendmsg,
		event: "sendto(2) of an unconnected UDP socket",
	})
	add(ebpf.AttachCGroupUDP4Recvmsg, ebpf.AttachCGroupUDP6Recvmsg, addrCall{
		name: "recvmsg", packet: true, fire: (*addrTrigger).recvmsg,
		event: "recvfrom(2) of a UDP socket, with a datagram from the chosen address",
	})
	add(ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername, addrCall{
		name: "getpeername", fire: (*addrTrigger).getpeername,
		event: "getpeername(2) of a connected UDP socket",
	})
	add(ebpf.AttachCgroupInet4GetSockname, ebpf.AttachCgroupInet6GetSockname, addrCall{
		name: "getsockname", fire: (*addrTrigger).getsockname,
		event: "getsockname(2) of a bound UDP socket",
	})
	return calls
}

// maxDatagram bounds the datagrams of addrTrigger, in bytes.
const maxDatagram = 1024

func sockAddr(attach ebpf.AttachType) Kind {
	call := addrCalls()[attach]
	words := 1
	if call.ipv6 {
		words = 4
	}
	var fields []corpus.Field
	if call.stream {
		fields = append(fields, flag("stream", atStream))
	}
	fields = append(fields, ports("port", atPort))
	fields = append(fields, address("addr", atTo, words)...)
	if call.packet || call.name == "connect" {
		fields = append(fields, ports("from_port", atFromPort))
		fields = append(fields, address("from", atFrom, words)...)
	}
	k := Kind{Name: "cgroup_sock_addr", Event: call.event, Verdicts: verdicts("reject", "allow")}
	k.Fields = sorted(append(fields, options()...))
	if call.binds {
		k.Verdicts = verdicts("reject", "allow", "reject+bind_no_cap", "allow+bind_no_cap")
	}
	if call.packet {
		k.Packet, k.Payload = corpus.Bounds{Max: maxDatagram}, true
	}
	k.Start = func(p Program) (Trigger, error) { return startAddr(p, call) }
	return k
}

func startAddr(p Program, call *addrCall) (Trigger, error) {
	c, err := inCgroup()
	if err != nil {
		return nil, err
	}
	catch, err := newCatcher()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	a := &addrTrigger{cgroup: c, call: call, catch: catch, buf: make([]byte, 0, maxDatagram)}
	if err := c.attach(&p); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// addrTrigger is the trigger of cgroup_sock_addr programs.
type addrTrigger struct {
	*cgroup
	call  *addrCall
	catch *catcher
	buf   []byte
}

// Fire implements Trigger. Errno is the call's, Address as the program left it.
func (a *addrTrigger) Fire(context, packet []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	a.catch.drain()
	kind := unix.SOCK_DGRAM
	if a.call.stream && context[atStream] != 0 {
		kind = unix.SOCK_STREAM
	}
	s, errno := newSocket(a.call.ipv6, kind, 0)
	if errno != 0 {
		return errno
	}
	defer s.close()
	s.mark(context)
	if a.call.packet || a.call.name == "connect" {
		from := fixed(endpoint(context, a.call.ipv6, atFrom, atFromPort), clientPort)
		if seen.Errno = s.bind(from); seen.Errno != 0 {
			return nil
		}
	}
	a.call.fire(a, s, endpoint(context, a.call.ipv6, atTo, atPort), packet, seen)
	return nil
}

// connect: Address is where the connection arrived, Socket 0 when it did.
func (a *addrTrigger) connect(s socket, to Address, _ []byte, seen *Seen) {
	if seen.Errno = s.connect(to); seen.Errno != 0 {
		return
	}
	if sa, err := unix.Getpeername(int(s)); err == nil {
		seen.Address, seen.Socket = addressOf(sa), 0
	}
}

// bind: Address is what the socket was bound to.
func (a *addrTrigger) bind(s socket, to Address, _ []byte, seen *Seen) {
	if seen.Errno = s.bind(fixed(to, serverPort)); seen.Errno == 0 {
		seen.Address = s.name()
	}
}

// sendmsg: Address is where the datagram arrived, Packet the datagram.
func (a *addrTrigger) sendmsg(s socket, to Address, packet []byte, seen *Seen) {
	if seen.Errno = number(unix.Sendto(int(s), packet, unix.MSG_DONTWAIT, sockaddr(to))); seen.Errno != 0 {
		return
	}
	var ok bool
	if seen.Packet, seen.Address, ok = a.catch.datagram(a.call.ipv6, a.buf); ok {
		seen.Socket = 0
	}
}

// recvmsg: the socket itself sends to a second one, which receives. Address is the
// sender as the receiver sees it.
func (a *addrTrigger) recvmsg(s socket, to Address, packet []byte, seen *Seen) {
	if seen.Errno = number(unix.Sendto(int(s), packet, unix.MSG_DONTWAIT, sockaddr(fixed(to, serverPort)))); seen.Errno != 0 {
		return
	}
	n, from, err := unix.Recvfrom(int(a.catch.sockets[catches(a.call.ipv6, false)]), a.buf[:cap(a.buf)], unix.MSG_DONTWAIT)
	if seen.Errno = number(err); err != nil {
		return
	}
	seen.Packet, seen.Socket, seen.Address = a.buf[:n], 0, addressOf(from)
}

// getpeername: Address is the peer as the call gives it.
func (a *addrTrigger) getpeername(s socket, to Address, _ []byte, seen *Seen) {
	if seen.Errno = s.connect(fixed(to, serverPort)); seen.Errno != 0 {
		return
	}
	sa, err := unix.Getpeername(int(s))
	if seen.Errno = number(err); err == nil {
		seen.Address = addressOf(sa)
	}
}

// getsockname: Address is the socket's own as the call gives it.
func (a *addrTrigger) getsockname(s socket, to Address, _ []byte, seen *Seen) {
	if seen.Errno = s.bind(fixed(to, serverPort)); seen.Errno != 0 {
		return
	}
	sa, err := unix.Getsockname(int(s))
	if seen.Errno = number(err); err == nil {
		seen.Address = addressOf(sa)
	}
}

// Close implements Trigger.
func (a *addrTrigger) Close() error { return errors.Join(a.cgroup.Close(), a.catch.Close()) }
