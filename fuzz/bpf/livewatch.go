package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// cell is a counter, or the last value of something, that the watching programs
// keep: 8 bytes each, in one mapped array.
type cell int

const (
	passed       cell = iota // frames that reached the stack
	arrived                  // frames that arrived at the far end of a wire
	redirected               // xdp_redirect: TX or REDIRECT, queued for transmission
	refused                  // xdp_redirect_err: nothing was queued
	excepted                 // xdp_exception
	sent                     // xdp_devmap_xmit: frames that a driver took
	unsent                   // xdp_devmap_xmit: frames that it did not take
	unread                   // frames that were counted, and whose bytes were not kept
	target                   // last index that a packet was redirected to
	mapType                  // last kind of map that it was redirected with, 0 for none
	refusal                  // last errno of xdp_redirect_err, negative
	failure                  // last errno of xdp_devmap_xmit, negative
	exceptAction             // last verdict of xdp_exception
	cells
)

const (
	// maxFrame bounds what a frame can be: it lies in a page.
	maxFrame = 4096
	// frameHead is what a record has before the frame: interface and length.
	frameHead = 8
	// ringSize holds the frames of the largest batch.
	ringSize = 1 << 21
)

// watch sees what becomes of live frames in the namespace of the thread that made
// it: frames that arrive are captured by XDP programs on the interfaces, and what
// the kernel says of the others by its xdp tracepoints.
type watch struct {
	counters *ebpf.Map
	mem      []byte
	ring     *ebpf.Map
	reader   *ringbuf.Reader
	record   ringbuf.Record
	before   [cells]uint64
	closers  []io.Closer
}

func newWatch() (*watch, error) {
	w := &watch{}
	if err := w.open(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *watch) open() (err error) {
	w.counters, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "bpffuzz_live", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(8 * cells), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return fmt.Errorf("making the counters of live frames: %w%s", err, kernel.Explain(err))
	}
	w.closers = append(w.closers, w.counters)
	if w.mem, err = kernel.MapMemory(w.counters.FD(), int(8*cells)); err != nil {
		return err
	}
	if w.ring, err = ebpf.NewMap(&ebpf.MapSpec{Name: "bpffuzz_frames", Type: ebpf.RingBuf, MaxEntries: ringSize}); err != nil {
		return fmt.Errorf("making the ring buffer of live frames: %w%s", err, kernel.Explain(err))
	}
	w.closers = append(w.closers, w.ring)
	if w.reader, err = ringbuf.NewReader(w.ring); err != nil {
		return fmt.Errorf("reading the ring buffer of live frames: %w", err)
	}
	w.closers = append(w.closers, w.reader)
	return w.trace()
}

// trace attaches to the tracepoints that tell what live frames do not return.
func (w *watch) trace() error {
	from, err := newNamespaceFilter()
	if err != nil {
		return err
	}
	for name, code := range w.tracers(from) {
		prog, err := w.load(&ebpf.ProgramSpec{Name: "bpffuzz_trace", Type: ebpf.RawTracepoint, License: "GPL", Instructions: code})
		if err != nil {
			return err
		}
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: prog})
		if err != nil {
			return fmt.Errorf("watching the tracepoint %s: %w%s", name, err, kernel.Explain(err))
		}
		w.closers = append(w.closers, l)
	}
	return nil
}

func (w *watch) load(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("loading a program that watches live frames: %w%s", err, kernel.Explain(err))
	}
	w.closers = append(w.closers, prog)
	return prog, nil
}

// atStack captures what a frame becomes that goes up the stack from an interface,
// before the stack looks at it.
func (w *watch) atStack(ifindex int) error {
	const pass = 2
	return w.capture(ifindex, link.XDPGenericMode, 0, passed, pass)
}

// atPeer captures what arrives at an interface, and drops it: it belongs to another
// host. The driver transmits frames to an interface only if it has an XDP program.
func (w *watch) atPeer(ifindex int) error {
	const drop = 1
	return w.capture(ifindex, link.XDPDriverMode, unix.BPF_F_XDP_HAS_FRAGS, arrived, drop)
}

func (w *watch) capture(ifindex int, mode link.XDPAttachFlags, flags uint32, count cell, verdict int32) error {
	prog, err := w.load(&ebpf.ProgramSpec{
		Name: "bpffuzz_capture", Type: ebpf.XDP, License: "GPL", Flags: flags, Instructions: w.captureCode(count, verdict),
	})
	if err != nil {
		return err
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: mode})
	if err != nil {
		return fmt.Errorf("capturing what arrives at interface %d of a private namespace: %w%s", ifindex, err, kernel.Explain(err))
	}
	w.closers = append(w.closers, l)
	return nil
}

// begin forgets what was seen so far.
func (w *watch) begin() error {
	for w.reader.AvailableBytes() > 0 {
		if err := w.reader.ReadInto(&w.record); err != nil {
			return fmt.Errorf("emptying the ring buffer of live frames: %w", err)
		}
	}
	for c := range w.before {
		w.before[c] = w.now(cell(c))
	}
	return nil
}

func (w *watch) now(c cell) uint64 { return binary.NativeEndian.Uint64(w.mem[8*c:]) }

// count returns how much a counter grew since begin.
func (w *watch) count(c cell) uint64 { return w.now(c) - w.before[c] }

// errno returns the last error number that a cell holds.
func (w *watch) errno(c cell) unix.Errno { return unix.Errno(-int32(w.now(c))) }

// complaints says what the tracepoints of errors reported since begin, the last of
// each.
func (w *watch) complaints() (list []string) {
	if w.count(refused) > 0 {
		list = append(list, fmt.Sprintf("xdp_redirect_err: %v, to index %d", w.errno(refusal), uint32(w.now(target))))
	}
	if w.count(unsent) > 0 {
		list = append(list, fmt.Sprintf("xdp_devmap_xmit: %v, %d frames not sent", w.errno(failure), w.count(unsent)))
	}
	if w.count(excepted) > 0 {
		list = append(list, fmt.Sprintf("xdp_exception: a program returned %d", uint32(w.now(exceptAction))))
	}
	if came := w.count(arrived) + w.count(excepted); w.count(sent) > came {
		list = append(list, fmt.Sprintf("lost: %d of %d frames that were sent did not arrive", w.count(sent)-came, w.count(sent)))
	}
	return list
}

// frame returns the next captured frame, nil when there is none before the
// deadline. It is valid until the next call.
func (w *watch) frame(deadline time.Time) ([]byte, error) {
	w.reader.SetDeadline(deadline)
	err := w.reader.ReadInto(&w.record)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ring buffer of live frames: %w", err)
	}
	raw := w.record.RawSample
	return raw[frameHead:][:binary.NativeEndian.Uint32(raw[4:])], nil
}

// Close detaches and gives back everything, the last made first.
func (w *watch) Close() error {
	err := kernel.Unmap(w.mem)
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i].Close())
	}
	w.mem, w.closers = nil, nil
	return err
}
