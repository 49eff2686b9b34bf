package bpf

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Live asks for live frames: the kernel does with each packet what the program
// says, in a private network namespace, instead of returning it. The zero value
// sends one frame for each packet. It is not changed.
type Live struct {
	// Frames is how many frames each step sends; 0 means 1. With more the kernel uses
	// memory again without writing it anew, so a program that changes packets may be
	// handed what it made of an earlier one.
	Frames int
	// Batch is batch_size, how many frames the kernel sends at once; 0 leaves it to
	// the kernel, which takes 64.
	Batch int
}

// LiveReport counts what became of live frames.
type LiveReport struct {
	// Frames were sent in all.
	Frames uint64 `json:"frames"`
	// Passed reached the stack, Sent were taken by the driver of an interface and
	// Arrived at its peer. Frames that a devmap multiplies count as often as they are there.
	Passed  uint64 `json:"passed"`
	Sent    uint64 `json:"sent"`
	Arrived uint64 `json:"arrived"`
	// RedirectErrors, TransmitErrors and Exceptions are frames that the tracepoints
	// xdp_redirect_err, xdp_devmap_xmit and xdp_exception complained of.
	RedirectErrors uint64 `json:"redirect_errors"`
	TransmitErrors uint64 `json:"transmit_errors"`
	Exceptions     uint64 `json:"exceptions"`
	// Lost is how many frames were sent and did not arrive in time.
	Lost uint64 `json:"lost"`
}

// liveCounts is a LiveReport that executors write together.
type liveCounts struct {
	frames, lost atomic.Uint64
	cells        [cells]atomic.Uint64
}

// LiveReport returns what became of live frames so far; nil where the target sends none.
func (t *Target) LiveReport() *LiveReport {
	if t.live == nil {
		return nil
	}
	c := &t.live.counts
	return &LiveReport{
		Frames: c.frames.Load(), Passed: c.cells[passed].Load(), Sent: c.cells[sent].Load(), Arrived: c.cells[arrived].Load(),
		RedirectErrors: c.cells[refused].Load(), TransmitErrors: c.cells[unsent].Load(), Exceptions: c.cells[excepted].Load(),
		Lost: c.lost.Load(),
	}
}

// liveMode is what the executors of a live target have in common.
type liveMode struct {
	Live
	counts liveCounts
}

// setUpLive checks that live frames are possible and makes the shape that of live
// frames. It changes the target while it is made.
func (t *Target) setUpLive(opts Live) error {
	entry := t.spec.Programs[t.program]
	if entry.Type != ebpf.XDP {
		return fmt.Errorf("program %q has type %s: only XDP programs have live frames", t.program, t.row.kind)
	}
	if t.mode == executorBatch {
		return fmt.Errorf("program %q: live frames are sent one by one: choose another executor than %s", t.program, executorBatch)
	}
	limits, err := kernel.MeasureLive()
	if err != nil {
		return err
	}
	if opts.Frames < 0 || opts.Frames > maxLiveFrames {
		return fmt.Errorf("%d live frames for a packet: choose 1 to %d", opts.Frames, maxLiveFrames)
	}
	if opts.Batch < 0 || opts.Batch > limits.Batch {
		return fmt.Errorf("a batch of %d live frames: this kernel takes 1 to %d", opts.Batch, limits.Batch)
	}
	t.live = &liveMode{Live: opts}
	t.shape.Packet = corpus.Bounds{Min: limits.Min, Max: limits.Max}
	t.shape.Meta.Max = min(t.shape.Meta.Max, limits.Meta)
	// The interface is given, and no context comes back.
	t.shape.Context, t.shape.Output = nil, nil
	t.machine = machine{} // there are the interfaces of live frames
	return nil
}

const (
	// maxLiveFrames bounds the frames of a step, each of which takes a good microsecond.
	maxLiveFrames = 1 << 20
	// liveWait is how long a frame may take that the driver took. It arrives
	// before the call returns, but where the kernel hands interrupts to a thread.
	liveWait = 500 * time.Millisecond
	// Frames arrive at liveIngress, and liveTarget is there to be redirected to.
	liveIngress = "live0"
	liveTarget  = "live1"
)

// liveLab is what an executor needs to send live frames: two pairs of interfaces
// and who watches them.
type liveLab struct {
	mode   *liveMode
	handle *netlink.Handle
	wires  []*wire // frames come in at the first one's near end
	watch  *watch
	ctx    []byte
	heard  *corpus.Outcome // takes what the kernel complains of; nil for nobody
	nth    int             // step since there is an outcome to take it
}

// newLiveLab builds in the namespace of the calling thread.
func newLiveLab(mode *liveMode) (*liveLab, error) {
	l := &liveLab{mode: mode, ctx: make([]byte, xdpSize)}
	if err := l.open(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *liveLab) open() (err error) {
	if err := quiet(); err != nil {
		return err
	}
	if l.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("opening netlink in a private namespace: %w", err)
	}
	if l.watch, err = newWatch(); err != nil {
		return err
	}
	for _, name := range [...]string{liveIngress, liveTarget} {
		w, err := newWire(l.handle, name)
		if err != nil {
			return err
		}
		l.wires = append(l.wires, w)
		if err := l.watch.atPeer(w.far); err != nil {
			return err
		}
	}
	if err := l.watch.atStack(l.wires[0].near); err != nil {
		return err
	}
	for _, w := range l.wires {
		if err := w.up(); err != nil {
			return err
		}
	}
	return nil
}

// Close gives everything back; nil is fine.
func (l *liveLab) Close() (err error) {
	if l == nil {
		return nil
	}
	if l.watch != nil {
		err = l.watch.Close()
	}
	for _, w := range l.wires {
		err = errors.Join(err, w.Close())
	}
	if l.handle != nil {
		l.handle.Close()
	}
	l.watch, l.wires, l.handle = nil, nil, nil
	return err
}

// describe says where frames go.
func (l *liveLab) describe() string {
	frames := "one frame"
	if n := l.mode.Frames; n > 1 {
		frames = fmt.Sprintf("%d frames", n)
	}
	return fmt.Sprintf("live: %s for each packet, arriving at %s (index %d) of a private namespace; what is redirected to %s (index %d) is seen too",
		frames, liveIngress, l.wires[0].near, liveTarget, l.wires[1].near)
}

// step sends a step's packet, data with its metadata, and finds out what became of it.
func (l *liveLab) step(inst *instance, s *corpus.Step, o *corpus.StepOutcome, data, out []byte) error {
	if err := l.watch.begin(); err != nil {
		return err
	}
	frames := max(l.mode.Frames, 1)
	clear(l.ctx)
	putInteger(l.ctx[xdpOffIngress:xdpOffIngress+4], uint64(l.wires[0].near), false)
	fixXDP(l.ctx, s.Packet, len(s.Meta))
	run := inst.run
	run.SetData(data, nil)
	run.SetContext(l.ctx, nil)
	run.SetFlags(s.Flags|kernel.LiveFrames, 0)
	run.SetRepeat(uint32(frames))
	run.SetBatchSize(l.batch())
	*o = corpus.StepOutcome{Errno: run.Do(), Duration: run.Duration()}
	if o.Errno != 0 {
		return nil
	}
	l.mode.counts.frames.Add(uint64(frames))
	packet, err := l.collect(out)
	o.Ret, o.Packet = l.verdict(inst.returned()), packet
	l.tell()
	return err
}

// listen has the steps that follow tell an outcome what the kernel complained of; nil
// ends that.
func (l *liveLab) listen(out *corpus.Outcome) {
	if l != nil {
		l.heard, l.nth = out, 0
	}
}

// tell adds the complaints about the last step to the outcome that listens.
func (l *liveLab) tell() {
	if l.heard == nil {
		return
	}
	for _, text := range l.watch.complaints() {
		l.heard.Events = append(l.heard.Events, corpus.Event{Source: "xdp", Text: fmt.Sprintf("step %d: %s", l.nth, text)})
	}
	l.nth++
}

// batch returns 1 for one frame, since the kernel fills as many pages as a batch has frames
// before it sends any.
func (l *liveLab) batch() uint32 {
	if l.mode.Batch == 0 && l.mode.Frames <= 1 {
		return 1
	}
	return uint32(l.mode.Batch)
}

// collect waits for what was sent and returns the first frame that arrived, in out.
func (l *liveLab) collect(out []byte) ([]byte, error) {
	w := l.watch
	packet := out[:0]
	deadline := time.Now().Add(liveWait)
	for kept := uint64(0); kept+w.count(unread)+w.count(excepted) < w.count(passed)+w.count(sent); kept++ {
		frame, err := w.frame(deadline)
		if err != nil {
			return nil, err
		}
		if frame == nil {
			break
		}
		if kept == 0 {
			packet = append(packet, frame...)
		}
	}
	for c := range w.before {
		l.mode.counts.cells[c].Add(w.count(cell(c)))
	}
	if came := w.count(arrived) + w.count(excepted); w.count(sent) > came {
		l.mode.counts.lost.Add(w.count(sent) - came)
	}
	return packet, nil
}

// Verdicts of XDP.
const (
	xdpAborted = iota
	xdpDrop
	xdpPass
	xdpTX
	xdpRedirect
)

// verdict returns the verdict that has the effect that was seen. A frame for the
// interface that it came from was sent back with TX, unless by way of a map. Of a
// frame that is gone without a trace only the program can tell why.
func (l *liveLab) verdict(returned uint32) uint32 {
	w := l.watch
	switch {
	case w.count(redirected)+w.count(refused) > 0:
		if uint32(w.now(target)) == uint32(l.wires[0].near) && uint32(w.now(mapType)) == 0 {
			return xdpTX
		}
		return xdpRedirect
	case w.count(passed) > 0:
		return xdpPass
	}
	return returned
}
