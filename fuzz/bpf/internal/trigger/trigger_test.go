package trigger

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Fields lie inside the context, apart from each other, and in order.
func TestFieldsOfContexts(t *testing.T) {
	for _, k := range Kinds() {
		end := 0
		for _, f := range k.Fields {
			if f.Offset < end {
				t.Errorf("%s (%s): field %s at %d overlaps or is out of order", k.Name, k.Event, f.Name, f.Offset)
			}
			end = f.Offset + f.Size
		}
		if end > ContextSize {
			t.Errorf("%s: %d bytes of fields, a context has %d", k.Name, end, ContextSize)
		}
		if k.Event == "" || k.Start == nil {
			t.Errorf("%s lacks an event", k.Name)
		}
	}
}

func TestForNamesWhatItLacks(t *testing.T) {
	for want, test := range map[string]struct {
		typ    ebpf.ProgramType
		attach ebpf.AttachType
	}{
		"Kprobe":      {ebpf.Kprobe, 0},
		"UnixConnect": {ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixConnect},
		"CGroupSock ": {ebpf.CGroupSock, ebpf.AttachXDP},
	} {
		if _, err := For(test.typ, test.attach); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("For(%s, %s): %v, want an error that has %q", test.typ, test.attach, err, want)
		}
	}
}

// Any bytes are made a packet that the kernel lets reach a program.
func FuzzMend(f *testing.F) {
	f.Add(make([]byte, minSRv6))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < minSRv6 || len(p) > maxSRv6 {
			return
		}
		mend(p)
		room, length, last, left := (len(p)-segments)/8, int(p[srh+1]), int(p[srh+4]), int(p[srh+3])
		switch {
		case length < 2 || length > room:
			t.Errorf("a header of %d units where there is room for 2 to %d", length, room)
		case 2*(last+1) > length:
			t.Errorf("segment %d of a header of %d units", last, length)
		case left < 1 || left > last+1:
			t.Errorf("%d segments left, the last one is %d", left, last)
		}
	})
}

// fires starts a trigger for a program of the instructions and causes one event.
func fires(t *testing.T, typ ebpf.ProgramType, attach ebpf.AttachType, code asm.Instructions, context, packet []byte) Seen {
	t.Helper()
	if missing := kernel.Missing(); len(missing) > 0 {
		t.Skipf("needs %s", missing[0].Name)
	}
	var seen Seen
	err := kernel.Isolated(0, func() error {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: typ, AttachType: attach, License: "GPL", Instructions: code})
		if err != nil {
			return err
		}
		defer prog.Close()
		kind, err := For(typ, attach)
		if err != nil {
			return err
		}
		tr, err := kind.Start(Program{Program: prog, Attach: attach})
		if err != nil {
			return err
		}
		for range 2 { // what the first event leaves must not disturb the second
			if err := tr.Fire(context, packet, &seen); err != nil {
				return err
			}
		}
		return tr.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func returns(v int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, v), asm.Return()}
}

// to makes a context with a destination.
func to(port uint16, more ...func([]byte)) []byte {
	context := make([]byte, ContextSize)
	binary.NativeEndian.PutUint16(context[atPort:], port)
	copy(context[atTo:], []byte{10, 96, 0, 1})
	for _, set := range more {
		set(context)
	}
	return context
}

func byteAt(at int, v byte) func([]byte) { return func(c []byte) { c[at] = v } }

func halfAt(at int, v uint16) func([]byte) {
	return func(c []byte) { binary.NativeEndian.PutUint16(c[at:], v) }
}

// What is seen of an event is what the program decided.
func TestSeen(t *testing.T) {
	connect := ebpf.AttachCGroupInet4Connect
	redirect := asm.Instructions{ // 10.96.0.1:80 to 10.0.0.9:8080
		asm.StoreImm(asm.R1, 4, int64(binary.NativeEndian.Uint32([]byte{10, 0, 0, 9})), asm.Word),
		asm.StoreImm(asm.R1, 24, int64(binary.NativeEndian.Uint16([]byte{0x1f, 0x90})), asm.Word),
		asm.Mov.Imm(asm.R0, 1), asm.Return(),
	}
	for _, test := range []struct {
		name            string
		typ             ebpf.ProgramType
		attach          ebpf.AttachType
		code            asm.Instructions
		context, packet []byte
		want            Seen
		address         string
	}{
		{"connect is allowed", ebpf.CGroupSockAddr, connect, returns(1), to(80, byteAt(atStream, 1)), nil, Seen{}, "10.96.0.1:80"},
		{"connect is rejected", ebpf.CGroupSockAddr, connect, returns(0), to(80), nil, Seen{Errno: unix.EPERM, Socket: NoSocket}, ""},
		{"connect is redirected", ebpf.CGroupSockAddr, connect, redirect, to(80, byteAt(atStream, 1)), nil, Seen{}, "10.0.0.9:8080"},
		{"a datagram is redirected", ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Sendmsg, redirect, to(80), []byte("hi"), Seen{Packet: []byte("hi")}, "10.0.0.9:8080"},
		{"a sender is disguised", ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Recvmsg, redirect, to(80), []byte("hi"), Seen{Packet: []byte("hi")}, "10.0.0.9:8080"},
		{"a peer is disguised", ebpf.CGroupSockAddr, ebpf.AttachCgroupInet4GetPeername, redirect, to(80), nil, Seen{Socket: NoSocket}, "10.0.0.9:8080"},
		{"bind is redirected", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Bind, redirect, to(80), nil, Seen{Socket: NoSocket}, "10.0.0.9:8080"},
		{"a socket is refused", ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate, returns(0), to(0, halfAt(atType, unix.SOCK_DGRAM)), nil, Seen{Errno: unix.EPERM, Socket: NoSocket}, ""},
		{"a port is refused", ebpf.CGroupSock, ebpf.AttachCGroupInet4PostBind, returns(0), to(80, halfAt(atType, unix.SOCK_DGRAM)), nil, Seen{Errno: unix.EPERM}, ""},
		{"a connection is watched", ebpf.SockOps, ebpf.AttachCGroupSockOps, returns(1), to(80, byteAt(atFlags, echo)), []byte("hi"), Seen{Packet: []byte("hihi")}, "10.96.0.1:40002"},
		{"a message passes", ebpf.SkMsg, ebpf.AttachSkMsgVerdict, returns(1), to(80, byteAt(atCount, 2)), []byte("hello"), Seen{Socket: far, Packet: []byte("hello")}, ""},
		{"a message is dropped", ebpf.SkMsg, ebpf.AttachSkMsgVerdict, returns(0), to(80), []byte("hello"), Seen{Errno: unix.EACCES, Socket: NoSocket}, ""},
		{"a stream passes", ebpf.SkSKB, ebpf.AttachSkSKBStreamVerdict, returns(1), to(80), []byte("hello"), Seen{Socket: near, Packet: []byte("hello")}, ""},
		{"a stream is dropped", ebpf.SkSKB, ebpf.AttachSkSKBStreamVerdict, returns(0), to(80), []byte("hello"), Seen{Socket: NoSocket}, ""},
		{"a stream is framed", ebpf.SkSKB, ebpf.AttachSkSKBStreamParser, returns(5), to(80), []byte("hello world"), Seen{Socket: near, Packet: []byte("hello worl")}, ""},
		{"a group drops", ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, returns(0), to(80, byteAt(atCount, 2)), []byte("hi"), Seen{Socket: NoSocket}, ""},
		{"a group drops a connection", ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, returns(0), to(80, byteAt(atStream, 1)), nil, Seen{Errno: unix.ECONNREFUSED, Socket: NoSocket}, ""},
		{"a group of one receives", ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, returns(1), to(80), []byte("hi"), Seen{Packet: []byte("hi")}, "10.96.0.1:40002"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := fires(t, test.typ, test.attach, test.code, test.context, test.packet)
			address := ""
			if got.Address.IsValid() {
				address = got.Address.String()
			}
			if got.Errno != test.want.Errno || got.Socket != test.want.Socket || string(got.Packet) != string(test.want.Packet) || address != test.address {
				t.Errorf("errno %v, socket %d, packet %q, address %s; want %v, %d, %q, %s", got.Errno, got.Socket, got.Packet, address,
					test.want.Errno, test.want.Socket, test.want.Packet, test.address)
			}
		})
	}
}

// A segment routing program lets packets pass to the next segment, or drops them.
func TestSegmentRouting(t *testing.T) {
	packet := make([]byte, segments+32)
	packet[srh+1], packet[srh+3], packet[srh+4] = 4, 1, 1
	next := []byte{0x20, 1, 0xd, 0xb8, 15: 7}
	copy(packet[segments:], next)
	for name, test := range map[string]struct {
		ret   int32
		leave bool
	}{"passes": {0, true}, "dropped": {2, false}} {
		t.Run(name, func(t *testing.T) {
			seen := fires(t, ebpf.LWTSeg6Local, ebpf.AttachNone, returns(test.ret), make([]byte, ContextSize), packet)
			if left := len(seen.Packet) == len(packet); left != test.leave {
				t.Fatalf("%d bytes left, want them to: %t", len(seen.Packet), test.leave)
			}
			if test.leave && string(seen.Packet[ip6+24:ip6+40]) != string(next) {
				t.Errorf("sent on to %x, want %x", seen.Packet[ip6+24:ip6+40], next)
			}
		})
	}
}

// A killed process's cgroup is removed by the next one.
func TestAbandonedCgroupsAreRemoved(t *testing.T) {
	if missing := kernel.Missing(); len(missing) > 0 {
		t.Skipf("needs %s", missing[0].Name)
	}
	err := kernel.Isolated(0, func() error {
		own, err := ownCgroup()
		if err != nil {
			return err
		}
		root, err := mountCgroups()
		if err != nil {
			return err
		}
		defer unix.Close(root)
		const pid = "4194305" // above the largest that there can be
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("there is a process %s", pid)
		}
		name := own + "/" + prefix + pid + "-1"
		if err := unix.Mkdirat(root, name, 0o700); err != nil {
			return err
		}
		removeAbandoned(root, own)
		if err := unix.Faccessat(root, name, unix.F_OK, 0); err != unix.ENOENT {
			t.Errorf("looking for the abandoned cgroup: %v, want it gone", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
