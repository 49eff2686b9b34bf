package trigger

import (
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// sockCall is a moment in the life of a socket that a program of type cgroup_sock
// sees.
type sockCall struct {
	event string
	// families that the input chooses from: bits 1 for IPv4, 2 for IPv6.
	ipv4, ipv6 bool
	binds      bool
}

// sockCalls has a row for each way to attach that has a trigger.
func sockCalls() map[ebpf.AttachType]*sockCall {
	return map[ebpf.AttachType]*sockCall{
		ebpf.AttachCGroupInetSockCreate:  {event: "socket(2)", ipv4: true, ipv6: true},
		ebpf.AttachCgroupInetSockRelease: {event: "close(2) of a socket that was bound", ipv4: true, ipv6: true, binds: true},
		ebpf.AttachCGroupInet4PostBind:   {event: "bind(2), after the port was taken", ipv4: true, binds: true},
		ebpf.AttachCGroupInet6PostBind:   {event: "bind(2), after the port was taken", ipv6: true, binds: true},
	}
}

func sock(attach ebpf.AttachType) Kind {
	call := sockCalls()[attach]
	var fields []corpus.Field
	if call.ipv4 && call.ipv6 {
		fields = append(fields, flag("ipv6", atIPv6))
	}
	fields = append(
		fields,
		corpus.Field{Name: "type", Offset: atType, Size: 2, Min: 1, Max: 6, Values: []uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_DCCP}},
		corpus.Field{Name: "protocol", Offset: atProtocol, Size: 2, Max: 262, Values: []uint64{
			0, unix.IPPROTO_ICMP, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMPV6, unix.IPPROTO_SCTP, unix.IPPROTO_UDPLITE, unix.IPPROTO_RAW, unix.IPPROTO_MPTCP,
		}},
	)
	if call.binds {
		words := 1
		if call.ipv6 {
			words = 4
		}
		fields = append(append(fields, ports("port", atPort)), address("addr", atTo, words)...)
		fields = append(fields, options()...)
	}
	return Kind{
		Name: "cgroup_sock", Event: call.event, Fields: sorted(fields), Verdicts: verdicts("reject", "allow"),
		Start: func(p Program) (Trigger, error) {
			c, err := attachedCgroup(&p)
			if err != nil {
				return nil, err
			}
			return &sockTrigger{cgroup: c, call: call}, nil
		},
	}
}

// sockTrigger is the trigger of cgroup_sock programs.
type sockTrigger struct {
	*cgroup
	call *sockCall
}

// Fire implements Trigger. Errno is that of socket or else of bind, Address what
// the socket was bound to, Socket 0 when there was one.
func (t *sockTrigger) Fire(context, _ []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	ipv6 := t.call.ipv6 && (!t.call.ipv4 || context[atIPv6] != 0)
	s, errno := newSocket(ipv6, max(int(half(context, atType)), unix.SOCK_STREAM), int(half(context, atProtocol)))
	if seen.Errno = errno; errno != 0 {
		return nil
	}
	defer s.close()
	seen.Socket = 0
	if !t.call.binds {
		return nil
	}
	s.mark(context)
	if seen.Errno = s.bind(fixed(endpoint(context, ipv6, atTo, atPort), serverPort)); seen.Errno == 0 {
		seen.Address = s.name()
	}
	return nil
}
