package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Indices of the interfaces of live frames in a fresh namespace.
const (
	ingressIndex = 2
	targetIndex  = 4
)

// newLiveTarget makes a target of testdata/live.o; nil is for one that is not live.
func newLiveTarget(t testing.TB, live *Live) *Target {
	t.Helper()
	needLive(t)
	obj, err := Open("testdata/live.o")
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Program: "obey", MaxSteps: 4, Live: live, Executor: executorSingle}
	if live != nil {
		opts.Maps = MapContents{"ports": {{Key: 1, Value: targetIndex}, {Key: 2, Value: ingressIndex}}}
	}
	target, err := NewTarget(obj, opts)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

func needLive(t testing.TB) {
	t.Helper()
	if missing := kernel.Missing(); len(missing) > 0 {
		t.Skipf("needs %s", missing[0].Name)
	}
}

// inExecutor makes an executor of a target where it belongs and closes it.
func inExecutor(t testing.TB, target *Target, do func(e *executor)) {
	t.Helper()
	err := kernel.Isolated(0, func() error {
		e, err := newExecutor(target, 0)
		if err != nil {
			return err
		}
		do(e)
		return e.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ask returns a frame with a request of testdata/live.c.
func ask(request, arg byte) corpus.Step {
	packet := bytes.Repeat([]byte{0x5a}, 64)
	packet[12], packet[13], packet[14], packet[15], packet[16] = 0x88, 0xb5, request, arg, 0
	return corpus.Step{Packet: packet}
}

// sendLive runs a step alone.
func sendLive(t testing.TB, e *executor, steps ...corpus.Step) *corpus.Outcome {
	t.Helper()
	out, err := e.Alone(t.Context(), &corpus.Input{Steps: steps}, corpus.HaveRet|corpus.HavePacket)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLiveVerdicts(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	unchanged := func(p []byte) []byte { return p }
	tests := []struct {
		name         string
		request, arg byte
		ret          uint32
		packet       func(sent []byte) []byte // that arrived; nil for none
		want         LiveReport
	}{
		{"dropped", 'x', 0, xdpDrop, nil, LiveReport{}},
		{"aborted", 'a', 0, xdpAborted, nil, LiveReport{}},
		{"no verdict", 'i', 0, 70, nil, LiveReport{}},
		{"passed", 'p', 0, xdpPass, unchanged, LiveReport{Passed: 1}},
		{"sent back", 't', 0, xdpTX, unchanged, LiveReport{Sent: 1, Arrived: 1}},
		{"redirected", 'r', targetIndex, xdpRedirect, unchanged, LiveReport{Sent: 1, Arrived: 1}},
		{"redirected by a map", 'm', 1, xdpRedirect, unchanged, LiveReport{Sent: 1, Arrived: 1}},
		{"redirected back by a map", 'm', 2, xdpRedirect, unchanged, LiveReport{Sent: 1, Arrived: 1}},
		{"redirected to all", 'b', 0, xdpRedirect, unchanged, LiveReport{Sent: 2, Arrived: 2}},
		{"no such interface", 'r', 77, xdpRedirect, nil, LiveReport{RedirectErrors: 1}},
		{"interface that cannot", 'r', lo, xdpRedirect, nil, LiveReport{RedirectErrors: 1}},
		{"no such entry", 'm', 5, xdpAborted, nil, LiveReport{}},
		{"written", 'w', 0, xdpPass, func(p []byte) []byte { p[16]++; return p }, LiveReport{Passed: 1}},
		{"longer", 'h', 0, xdpPass, func(p []byte) []byte { return append(make([]byte, 4), p...) }, LiveReport{Passed: 1}},
		{"shorter", 's', 0, xdpTX, func(p []byte) []byte { return p[:54] }, LiveReport{Sent: 1, Arrived: 1}},
		{"ingress", 'f', 0, xdpPass, func(p []byte) []byte { p[16] = ingressIndex; return p }, LiveReport{Passed: 1}},
	}
	inExecutor(t, target, func(e *executor) { // on one goroutine, so without t.Run
		for _, tt := range tests {
			before := *target.LiveReport()
			step := ask(tt.request, tt.arg)
			out := sendLive(t, e, step).Steps[0]
			if out.Errno != 0 || out.Ret != tt.ret {
				t.Errorf("%s: verdict %d, errno %v, want verdict %d", tt.name, out.Ret, out.Errno, tt.ret)
			}
			var want []byte
			if tt.packet != nil {
				want = tt.packet(bytes.Clone(step.Packet))
			}
			got := bytes.Clone(out.Packet)
			if tt.request == 'h' && len(got) > 4 {
				clear(got[:4]) // headroom holds anything
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: arrived % x\nwant % x", tt.name, got, want)
			}
			tt.want.Frames = 1
			if got := sub(*target.LiveReport(), before); got != tt.want {
				t.Errorf("%s: counted %+v, want %+v", tt.name, got, tt.want)
			}
		}
	})
}

func sub(a, b LiveReport) LiveReport {
	return LiveReport{
		Frames: a.Frames - b.Frames, Passed: a.Passed - b.Passed, Sent: a.Sent - b.Sent, Arrived: a.Arrived - b.Arrived,
		RedirectErrors: a.RedirectErrors - b.RedirectErrors, TransmitErrors: a.TransmitErrors - b.TransmitErrors,
		Exceptions: a.Exceptions - b.Exceptions, Lost: a.Lost - b.Lost,
	}
}

// TestLiveCover compares coverage with that of runs that are not live.
func TestLiveCover(t *testing.T) {
	const requests = "xapthswfbc"
	var covers [2][][]byte
	for i, live := range []*Live{{}, nil} {
		inExecutor(t, newLiveTarget(t, live), func(e *executor) {
			for _, request := range []byte(requests) {
				covers[i] = append(covers[i], bytes.Clone(sendLive(t, e, ask(request, 0)).Cover))
			}
		})
	}
	for i, live := range covers[0] {
		if plain := covers[1][i]; !bytes.Equal(live, plain) || !slices.ContainsFunc(live, func(b byte) bool { return b != 0 }) {
			t.Errorf("%q: live frames cover\n% x, others\n% x", requests[i], live, plain)
		}
		if i > 1 && bytes.Equal(live, covers[0][i-1]) {
			t.Errorf("%q covers the same as %q", requests[i], requests[i-1])
		}
	}
}

// TestLiveBatch runs the engine's way, and sees state and steps like any executor.
func TestLiveBatch(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	inExecutor(t, target, func(e *executor) {
		batch := e.Batch()
		inputs := [][]corpus.Step{{ask('p', 0)}, {ask('c', 0), ask('c', 0)}, {ask('c', 0)}, {ask('t', 0)}}
		for range 3 {
			batch.Reset()
			for _, steps := range inputs {
				batch.Next().CopyFrom(&corpus.Input{Steps: steps})
				batch.Commit()
			}
			if err := e.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var verdicts []uint32
			for _, o := range batch.Outcomes() {
				verdicts = append(verdicts, o.Ret)
			}
			if want := []uint32{xdpPass, xdpPass, xdpDrop, xdpPass, xdpTX}; !slices.Equal(verdicts, want) {
				t.Fatalf("verdicts %d, want %d", verdicts, want)
			}
		}
	})
}

func TestLiveMeta(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	inExecutor(t, target, func(e *executor) {
		for n := 0; n <= target.Shape().Meta.Max; n += 4 {
			step := ask('e', 0)
			step.Meta = bytes.Repeat([]byte{7}, n)
			want := uint32(xdpTX)
			if n == 0 {
				want = xdpDrop
			}
			out := sendLive(t, e, step).Steps[0]
			if out.Errno != 0 || out.Ret != want {
				t.Errorf("%d bytes of metadata: verdict %d, errno %v", n, out.Ret, out.Errno)
			}
			if want == xdpTX && !bytes.Equal(out.Packet, step.Packet) {
				t.Errorf("%d bytes of metadata: a frame of %d bytes arrived, want %d", n, len(out.Packet), len(step.Packet))
			}
		}
	})
}

func TestLiveLimitsOfShape(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	inExecutor(t, target, func(e *executor) {
		for _, size := range []int{target.Shape().Packet.Min, 64, 1514, target.Shape().Packet.Max} {
			step := ask('t', 0)
			step.Packet = append(step.Packet, make([]byte, 4096)...)[:size]
			out := sendLive(t, e, step).Steps[0]
			if want := uint32(xdpTX); size >= 64 && (out.Ret != want || len(out.Packet) != size) || out.Errno != 0 {
				t.Errorf("%d bytes: verdict %d, errno %v, %d bytes arrived", size, out.Ret, out.Errno, len(out.Packet))
			}
		}
		for _, size := range []int{target.Shape().Packet.Min - 1, target.Shape().Packet.Max + 1} {
			step := ask('t', 0)
			step.Packet = append(step.Packet, make([]byte, 4096)...)[:size]
			if out := sendLive(t, e, step).Steps[0]; out.Errno != unix.EINVAL {
				t.Errorf("%d bytes: errno %v, want EINVAL", size, out.Errno)
			}
		}
	})
}

// TestLiveRecycling shows why one frame is the default: the program finds what it
// wrote into an earlier frame.
func TestLiveRecycling(t *testing.T) {
	for _, tt := range []struct {
		live   Live
		passes bool
		ret    uint32
	}{
		{Live{}, false, xdpDrop},
		{Live{Frames: 1000}, true, xdpPass},
	} {
		target := newLiveTarget(t, &tt.live)
		inExecutor(t, target, func(e *executor) {
			out := sendLive(t, e, ask('d', 0)).Steps[0]
			if n := target.LiveReport().Passed; n > 0 != tt.passes || out.Ret != tt.ret {
				t.Errorf("%+v: verdict %d, %d frames passed, want verdict %d", tt.live, out.Ret, n, tt.ret)
			}
		})
	}
}

func TestLiveFrames(t *testing.T) {
	for _, live := range []Live{{Frames: 200, Batch: 256}, {Frames: 1000}, {Frames: 1000, Batch: 7}} {
		target := newLiveTarget(t, &live)
		inExecutor(t, target, func(e *executor) {
			n := uint64(live.Frames)
			out := sendLive(t, e, ask('t', 0)).Steps[0]
			if want := (LiveReport{Frames: n, Sent: n, Arrived: n}); *target.LiveReport() != want || out.Ret != xdpTX {
				t.Errorf("%+v: verdict %d, %+v", live, out.Ret, *target.LiveReport())
			}
		})
	}
}

func TestLiveRefusals(t *testing.T) {
	needLive(t)
	obj, err := Open("testdata/live.o")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		opts Options
		want string
	}{
		{Options{Program: "classify", Live: &Live{}}, "only XDP programs have live frames"},
		{Options{Program: "obey", Live: &Live{Batch: 5000}}, "this kernel takes 1 to"},
		{Options{Program: "obey", Live: &Live{Batch: -1}}, "this kernel takes 1 to"},
		{Options{Program: "obey", Live: &Live{Frames: -1}}, "choose 1 to"},
		{Options{Program: "obey", Live: &Live{}, Executor: "batch"}, "live"},
	} {
		_, err := NewTarget(obj, tt.opts)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want an error with %q", tt.opts.Live, err, tt.want)
		}
	}
}

// TestLiveLost takes the peer away: the wait for a frame ends, and says so.
func TestLiveLost(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	inExecutor(t, target, func(e *executor) {
		peer, err := netlink.LinkByName(liveIngress + "-peer")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetDown(peer); err != nil {
			t.Fatal(err)
		}
		result := sendLive(t, e, ask('t', 0))
		out, got := result.Steps[0], *target.LiveReport()
		if len(result.Events) != 1 || !strings.Contains(result.Events[0].Text, "no such device") {
			t.Errorf("told %v, want that the peer is not there", result.Events)
		}
		if out.Ret != xdpTX || len(out.Packet) != 0 || got.Arrived != 0 || got.TransmitErrors+got.RedirectErrors+got.Lost == 0 {
			t.Errorf("verdict %d, %d bytes, %+v", out.Ret, len(out.Packet), got)
		}
	})
}

// TestLiveWaitEnds has a frame sent that does not arrive anywhere.
func TestLiveWaitEnds(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	inExecutor(t, target, func(e *executor) {
		w := e.lab.watch
		if err := w.begin(); err != nil {
			t.Fatal(err)
		}
		binary.NativeEndian.PutUint64(w.mem[8*sent:], w.now(sent)+1)
		packet, err := e.lab.collect(make([]byte, maxFrame))
		if err != nil || len(packet) != 0 {
			t.Errorf("%d bytes, %v", len(packet), err)
		}
		if got := *target.LiveReport(); got != (LiveReport{Sent: 1, Lost: 1}) {
			t.Errorf("%+v", got)
		}
		if ret := sendLive(t, e, ask('t', 0)).Steps[0].Ret; ret != xdpTX {
			t.Errorf("verdict %d afterwards", ret)
		}
	})
}

// TestLiveException has another XDP program abort on what is redirected to it.
func TestLiveException(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	inExecutor(t, target, func(e *executor) {
		abort, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.XDP, License: "GPL", Flags: unix.BPF_F_XDP_HAS_FRAGS,
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpAborted), asm.Return()},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer abort.Close()
		l, err := link.AttachXDP(link.XDPOptions{Program: abort, Interface: targetIndex, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		const peerOfTarget = targetIndex + 1
		result := sendLive(t, e, ask('r', peerOfTarget))
		out := result.Steps[0]
		told := []corpus.Event{{Source: "xdp", Text: "step 0: xdp_exception: a program returned 0"}}
		if !slices.Equal(result.Events, told) {
			t.Errorf("told %v, want %v", result.Events, told)
		}
		if again := sendLive(t, e, ask('t', 0)).Events; len(again) > 0 {
			t.Errorf("the next run is told %v", again)
		}
		if want := (LiveReport{Frames: 2, Sent: 2, Arrived: 1, Exceptions: 1}); *target.LiveReport() != want || out.Ret != xdpRedirect {
			t.Errorf("verdict %d, %+v, want %+v", out.Ret, *target.LiveReport(), want)
		}
	})
}

// TestLiveGivesBack looks for interfaces and file descriptors that are left.
func TestLiveGivesBack(t *testing.T) {
	target := newLiveTarget(t, &Live{})
	err := kernel.Isolated(0, func() error {
		for round := range 3 {
			before := descriptors(t)
			e, err := newExecutor(target, 0)
			if err != nil {
				return err
			}
			sendLive(t, e, ask('t', 0))
			if links := names(t); len(links) != 5 {
				t.Errorf("interfaces %v, want lo and two pairs", links)
			}
			if err := e.Close(); err != nil {
				return err
			}
			if links := names(t); !slices.Equal(links, []string{"lo"}) {
				t.Errorf("interfaces %v are left", links)
			}
			if after := descriptors(t); round > 0 && after != before {
				t.Errorf("%d file descriptors, %d before", after, before)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB) []string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, l := range links {
		list = append(list, l.Attrs().Name)
	}
	return list
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func BenchmarkLive(b *testing.B) {
	target := newLiveTarget(b, &Live{})
	for _, request := range []byte("xpt") {
		b.Run(string(request), func(b *testing.B) {
			inExecutor(b, target, func(e *executor) {
				in := &corpus.Input{Steps: []corpus.Step{ask(request, 0)}}
				b.ResetTimer()
				for range b.N {
					if _, err := e.Alone(b.Context(), in, 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
