package trigger

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// catcher receives whatever is sent in its network namespace, to any address and
// port: a socket lookup program gives all of it to four sockets. So a connection or
// a datagram arrives wherever a program diverts it to.
type catcher struct {
	sockets [4]socket // by catches
	table   *ebpf.Map
	prog    *ebpf.Program
	link    link.Link
}

// catches is the index of the socket for a family and a protocol.
func catches(ipv6, stream bool) int {
	i := 0
	if ipv6 {
		i++
	}
	if !stream {
		i += 2
	}
	return i
}

func newCatcher() (c *catcher, err error) {
	c = &catcher{sockets: [4]socket{noSocket, noSocket, noSocket, noSocket}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("catching what is sent in a network namespace: %w", err), c.Close())
		}
	}()
	c.table, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(c.sockets))})
	if err != nil {
		return c, err
	}
	for i := range c.sockets {
		if err := c.open(i); err != nil {
			return c, err
		}
	}
	if c.prog, err = ebpf.NewProgram(steer(c.table)); err != nil {
		return c, err
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return c, err
	}
	defer ns.Close()
	c.link, err = link.AttachNetNs(int(ns.Fd()), c.prog)
	return c, err
}

// open makes the socket with the given index.
func (c *catcher) open(i int) error {
	any := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if i&1 != 0 {
		any = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	s, errno := noSocket, unix.Errno(0)
	if i < 2 {
		s, errno = listen(any)
	} else if s, errno = newSocket(i&1 != 0, unix.SOCK_DGRAM, 0); errno == 0 {
		errno = s.bind(any)
		s.set(unix.IPPROTO_IP, unix.IP_RECVORIGDSTADDR, 1)
		s.set(unix.IPPROTO_IPV6, unix.IPV6_RECVORIGDSTADDR, 1)
	}
	c.sockets[i] = s
	if errno != 0 {
		return errno
	}
	return c.table.Put(uint32(i), uint32(s))
}

// steer chooses the socket by family and protocol.
func steer(table *ebpf.Map) *ebpf.ProgramSpec {
	const family, protocol = 8, 12 // offsets in struct bpf_sk_lookup
	return &ebpf.ProgramSpec{
		Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.Mov.Imm(asm.R7, 0),
			asm.LoadMem(asm.R2, asm.R6, family, asm.Word),
			asm.JNE.Imm(asm.R2, unix.AF_INET6, "v4"),
			asm.Add.Imm(asm.R7, 1),
			asm.LoadMem(asm.R2, asm.R6, protocol, asm.Word).WithSymbol("v4"),
			asm.JNE.Imm(asm.R2, unix.IPPROTO_UDP, "tcp"),
			asm.Add.Imm(asm.R7, 2),
			asm.StoreMem(asm.RFP, -4, asm.R7, asm.Word).WithSymbol("tcp"),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, table.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "pass"),
			asm.Mov.Reg(asm.R7, asm.R0),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Reg(asm.R2, asm.R7),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnSkAssign.Call(),
			asm.Mov.Reg(asm.R1, asm.R7),
			asm.FnSkRelease.Call(),
			asm.Mov.Imm(asm.R0, 1).WithSymbol("pass"),
			asm.Return(),
		},
	}
}

// drain throws away what earlier events left.
func (c *catcher) drain() {
	var first [1]byte // a read of nothing always succeeds
	for i, s := range c.sockets {
		for {
			if i >= 2 {
				if _, _, _, _, err := unix.Recvmsg(int(s), first[:], nil, unix.MSG_DONTWAIT); err != nil {
					break
				}
				continue
			}
			conn := s.accept()
			if conn == noSocket {
				break
			}
			conn.close()
		}
	}
}

// datagram returns a datagram that has arrived and the address it was sent to.
func (c *catcher) datagram(ipv6 bool, buf []byte) (p []byte, to Address, ok bool) {
	s := c.sockets[catches(ipv6, false)]
	var oob [128]byte
	n, oobn, _, _, err := unix.Recvmsg(int(s), buf[:cap(buf)], oob[:], unix.MSG_DONTWAIT)
	if err != nil {
		return buf[:0], Address{}, false
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return buf[:n], Address{}, true
	}
	for i := range messages {
		if sa, err := unix.ParseOrigDstAddr(&messages[i]); err == nil {
			to = addressOf(sa)
		}
	}
	return buf[:n], to, true
}

// Close gives sockets, program and map back.
func (c *catcher) Close() (err error) {
	if c.link != nil {
		err = c.link.Close()
	}
	closeAll(c.sockets[:])
	return errors.Join(err, c.prog.Close(), c.table.Close())
}
