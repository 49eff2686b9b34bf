package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// First arguments of bpf(2), and one that stands for all.
const (
	cmdProgLoad = 5
	anyArgument = ^uint32(0)
)

// denySyscall has the kernel answer errno to a system call of the calling thread from now
// on, if its first argument is arg.
func denySyscall(t *testing.T, call uintptr, arg uint32, errno unix.Errno) {
	t.Helper()
	var otherwise uint8 = 1
	if arg == anyArgument {
		otherwise = 0
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(call), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // low half of the first argument
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arg, Jf: otherwise},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	runtime.KeepAlive(filter)
	if err != nil {
		t.Skipf("seccomp is not to be had: %v", err)
	}
}

// takeLo attaches another program to the loopback interface of the thread's namespace.
func takeLo(t *testing.T) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	taken, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: lo, Flags: link.XDPGenericMode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
}

// What keeps a batch from being made leaves an executor of single packets, which
// says why in a line, or an error of one line where batches were asked for.
func TestBatchesRefused(t *testing.T) {
	needBatches(t)
	for _, tt := range []struct {
		name, example string
		refuse        func(t *testing.T)
		want          string
	}{
		// What maps the slots asks for any address, which is 0.
		{"no memory for slots", "egress", func(t *testing.T) { denySyscall(t, unix.SYS_MMAP, 0, unix.ENOMEM) }, "cannot allocate memory"},
		{"helpers that the kernel lacks", "egress", func(t *testing.T) { denySyscall(t, unix.SYS_BPF, cmdProgLoad, unix.EINVAL) }, "rejects program"},
		{"helpers that the kernel lacks for xdp", "firewall", func(t *testing.T) { denySyscall(t, unix.SYS_BPF, cmdProgLoad, unix.EINVAL) }, "invalid argument"},
		{"lo is taken", "firewall", takeLo, "device or resource busy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := exampleTarget(t, tt.example)
			isolated(t, func() {
				single, err := newExecutor(target, 0)
				if err != nil {
					t.Fatal(err)
				}
				tt.refuse(t)
				_, err = target.withBatches(single)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("an executor of batches: %v, want %q", err, tt.want)
				}
			})
			auto := *target
			auto.mode = executorAuto
			isolated(t, func() {
				single := open(t, &auto)
				tt.refuse(t)
				e, err := auto.withBatches(single)
				if err != nil {
					t.Fatal(err)
				}
				text := e.Describe()
				if e != single || !strings.Contains(text, "(no batches: ") || !strings.Contains(text, tt.want) || strings.Contains(text, "\n") {
					t.Errorf("the executor is %q, want single packets because of %q", text, tt.want)
				}
				run(t, single, &corpus.Input{Steps: []corpus.Step{{Packet: udpPacket(1)}}})
			})
		})
	}
}

// Without a namespace of its own no executor touches the network of the machine.
func TestNamespaceRefused(t *testing.T) {
	needBatches(t)
	target := exampleTarget(t, "firewall")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread is spoilt
		denySyscall(t, unix.SYS_UNSHARE, anyArgument, unix.EPERM)
		_, err := target.NewExecutor(0)
		if err == nil || !strings.Contains(err.Error(), "private network namespace") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want a line about the network namespace", err)
		}
	}()
	<-done
}

// An interface that vanishes while inputs name it leaves those with the kernel's
// answer, and the others as they are.
func TestBatchWhoseInterfaceVanishes(t *testing.T) {
	needBatches(t)
	code := asm.Instructions{asm.LoadMem(asm.R0, asm.R1, xdpOffIngress, asm.Word), asm.Return()}
	target := assembled(t, ebpf.XDP, 0, code)
	index := slices.IndexFunc(target.shape.Context, func(f corpus.Field) bool { return f.Name == "ingress_ifindex" })
	last := target.shape.Context[index].Max
	if last <= lo {
		t.Skip("there is no interface but lo")
	}
	isolated(t, func() {
		b := mustBatch(t, target)
		gone, err := netlink.LinkByIndex(int(last))
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(gone); err != nil {
			t.Fatal(err)
		}
		b.batch.Reset()
		for i := range 8 {
			s := b.batch.Next().Grow()
			s.Packet = append(s.Packet, udpPacket(1)...)
			if i%2 == 1 {
				s.Context = append(s.Context, set(t, target.shape, map[string]uint64{"ingress_ifindex": last})...)
			}
			b.batch.Commit()
		}
		if err := b.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, out := range b.batch.Outcomes() {
			if i%2 == 1 && out.Errno != unix.ENODEV || i%2 == 0 && (out.Errno != 0 || out.Ret != lo) {
				t.Errorf("input %d: %s", i, outcomeText(&out))
			}
		}
	})
}

// Signals interrupt calls anywhere; what they cut off runs again.
func TestBatchUnderSignals(t *testing.T) {
	needBatches(t)
	target := exampleTarget(t, "firewall")
	isolated(t, func() {
		b := mustBatch(t, target)
		packets := make([][]byte, b.batch.Cap()/2)
		for i := range packets {
			packets[i] = udpPacket(uint16(i))
		}
		want := slices.Clone(runPackets(t, b, packets...))
		for i := range want {
			want[i].Packet = slices.Clone(want[i].Packet)
		}
		features := slices.Clone(b.Cover())

		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil); err != nil {
			t.Fatal(err)
		}
		pid, tid := os.Getpid(), unix.Gettid()
		stop, stopped, sent := make(chan struct{}), make(chan struct{}), 0
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					_ = unix.Tgkill(pid, tid, unix.SIGURG)
					sent++
				}
			}
		}()
		for range 50 {
			for i, out := range runPackets(t, b, packets...) {
				if outcomeText(&out) != outcomeText(&want[i]) {
					t.Errorf("packet %d: %.200s, want %.200s", i, outcomeText(&out), outcomeText(&want[i]))
				}
			}
			if !slices.Equal(b.Cover(), features) {
				t.Error("edges differ")
			}
		}
		close(stop)
		<-stopped
		t.Logf("%d signals", sent)
	})
}

// A call of a slow program is short, so that stopping does not wait for many runs.
func TestBatchOfSlowPrograms(t *testing.T) {
	code := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		asm.Mov.Imm(asm.R1, 20_000),
		asm.Add.Imm(asm.R0, 1),
		asm.Sub.Imm(asm.R1, 1),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JNE).SetSource(asm.ImmSource), Dst: asm.R1, Offset: -3},
		asm.Return(),
	}
	target := assembled(t, ebpf.XDP, 0, code)
	isolated(t, func() {
		b := mustBatch(t, target)
		packets := make([][]byte, b.batch.Cap()/2)
		for i := range packets {
			packets[i] = udpPacket(uint16(i))
		}
		for range 3 {
			for i, out := range runPackets(t, b, packets...) {
				if out.Ret != 20_000 || !slices.Equal(out.Packet, packets[i]) {
					t.Fatalf("packet %d: %.200s", i, outcomeText(&out))
				}
			}
		}
		// 20,000 turns take 4 us at least, and 256 such packets a millisecond.
		if b.stretch == b.batch.Cap() {
			t.Errorf("calls of %d packets, each of which takes %d ns", b.stretch, b.inst.run.Duration())
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Run(canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("a run that is canceled: %v", err)
		}
	})
}

// The dummy socket of a call has addresses of that call's packet: packets of the same ones
// share a call, and each finds its own.
func TestBatchOfSockets(t *testing.T) {
	code := asm.Instructions{
		asm.LoadMem(asm.R0, asm.R1, skbOffSocket, asm.DWord), jumpIfZero(asm.R0, 1),
		asm.LoadMem(asm.R0, asm.R0, 52, asm.Word), // dst_ip4
		asm.Return(),
	}
	target := assembled(t, ebpf.SchedCLS, 0, code)
	isolated(t, func() {
		b := mustBatch(t, target)
		const calls = 3
		packets := make([][]byte, 60)
		for i := range packets {
			packets[i] = udpPacket(uint16(i))
			packets[i][33] = byte(i % calls)
		}
		for i, out := range runPackets(t, b, packets...) {
			if want := binary.LittleEndian.Uint32(packets[i][30:]); out.Ret != want || !slices.Equal(out.Packet, packets[i]) {
				t.Errorf("packet %d: %.200s, want %#x", i, outcomeText(&out), want)
			}
		}
		if len(b.rows) != calls || len(b.alone) > 0 {
			t.Errorf("%d calls, and %d packets alone, want %d and none", len(b.rows), len(b.alone), calls)
		}
	})
}

// Only the addresses that the kernel gives a socket tell packets apart.
func TestSocketAddresses(t *testing.T) {
	four, six := udpPacket(1), make([]byte, 54)
	copy(six[12:], "\x86\xdd")
	for name, test := range map[string]struct {
		packet []byte
		at     int
		told   bool
	}{
		"IPv4 source":           {four, 26, true},
		"IPv4 destination":      {four, 33, true},
		"IPv4 protocol":         {four, 23, false},
		"port":                  {four, 36, false},
		"IPv6 source":           {six, 22, true},
		"IPv6 destination":      {six, 53, true},
		"IPv6 hop limit":        {six, 21, false},
		"IPv6 that is cut":      {six[:53], 30, false},
		"IPv4 that is cut":      {four[:33], 30, false},
		"other ethertype":       {append([]byte{12: 8, 13: 6}, make([]byte, 40)...), 30, false},
		"nothing but a header":  {four[:14], 0, false},
		"length, no ethertype ": {make([]byte, 60), 30, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := slices.Clone(test.packet)
			changed[test.at] ^= 1
			if told := socketAddresses(test.packet) != socketAddresses(changed); told != test.told {
				t.Errorf("a change of byte %d is told: %t", test.at, told)
			}
		})
	}
}

// Outcomes that chance decides are detected, so that they are not compared, and
// the program is named.
func TestBatchOfChance(t *testing.T) {
	code := asm.Instructions{asm.FnGetPrandomU32.Call(), asm.Return()}
	needBatches(t)
	code[0] = code[0].WithSymbol("a")
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"a": {Name: "a", Type: ebpf.SchedCLS, License: "GPL", Instructions: code},
	}}
	target, err := NewTarget(FromSpec("chance", spec), Options{MaxSteps: 1, Setup: Setup{RealHelpers: true}})
	if err != nil {
		t.Fatal(err)
	}
	isolated(t, func() {
		d, err := newDifference(target)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close(t)
		d.fill(0)
		if err := d.compare(t); err != nil {
			t.Fatal(err)
		}
		if d.unstable < d.packets/2 {
			t.Errorf("%d of %d random results differ", d.unstable, d.packets)
		}
		d.name(t)
	})
}
