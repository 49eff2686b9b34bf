package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Limits are the sizes that BPF_PROG_RUN accepts from programs of one type. They
// move with page size, cache line and kernel, so they are measured by trying.
type Limits struct {
	// Min and Max bound data_in, in bytes. For XDP Max is the largest packet of a
	// program that does not declare xdp.frags.
	Min, Max int
	// Frags is the largest packet of an XDP program that declares xdp.frags, 0 where
	// there are none.
	Frags int
	// Meta is the largest metadata of XDP, 0 for other types.
	Meta int
}

// largest bounds what is tried.
const largest = 1 << 17

// legalPacket is a size between the smallest packet and the largest one of every type.
const legalPacket = 64

// xdpMeta bounds the metadata that is tried, in bytes.
const xdpMeta = 512

// xdpContextSize is the size of struct xdp_md.
const xdpContextSize = 24

// MeasureLimits runs a program that returns at once with inputs of many sizes. It
// takes milliseconds.
func MeasureLimits(t ebpf.ProgramType) (Limits, error) {
	run, err := newTrial(t, 0)
	if err != nil {
		return Limits{}, err
	}
	defer run.close()
	buf := make([]byte, largest)
	if errno := run.data(buf[:legalPacket]); errno != 0 {
		return Limits{}, fmt.Errorf("running a %s program that does nothing: %w%s", t, errno, Explain(errno))
	}
	sizes := run.packets(buf)
	l := Limits{Min: sizes.Min, Max: sizes.Max}
	if t != ebpf.XDP {
		return l, nil
	}
	l.Meta = 4 * lastGood(xdpMeta/4, func(n int) bool { return run.meta(buf, legalPacket, 4*n) })
	return l, l.measureFrags(buf)
}

// measureFrags tells linear packets from those with fragments. A program without
// xdp.frags is handed fragments nevertheless where the packet does not fit one
// page, so the border is where data_end of the default context falls short.
func (l *Limits) measureFrags(buf []byte) error {
	l.Frags = l.Max
	linear, err := newLinear()
	if err != nil {
		return err
	}
	defer linear.close()
	l.Max = l.Min + lastGood(l.Max-l.Min, func(n int) bool {
		return linear.data(buf[:l.Min+n]) == 0 && int(linear.run.Ret()) == l.Min+n
	})
	frags, err := newTrial(ebpf.XDP, unix.BPF_F_XDP_HAS_FRAGS)
	if err != nil {
		l.Frags = 0 // a kernel from before fragments
		return nil
	}
	frags.close()
	return nil
}

// lastGood returns the largest n in [0, limit] for which good(n) holds, given that it
// holds up to there, and that it holds for 0.
func lastGood(limit int, good func(n int) bool) int {
	low, high := 0, limit
	for low < high {
		mid := (low + high + 1) / 2
		if good(mid) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}

// trial is a small program that is run to learn something.
type trial struct {
	prog *ebpf.Program
	run  *Run
}

// attachType is what programs of a type that has one alone have to declare.
func attachType(t ebpf.ProgramType) ebpf.AttachType {
	switch t {
	case ebpf.FlowDissector:
		return ebpf.AttachFlowDissector
	case ebpf.Netfilter:
		return ebpf.AttachNetfilter
	}
	return ebpf.AttachNone
}

func newTrial(t ebpf.ProgramType, flags uint32) (*trial, error) {
	return load(&ebpf.ProgramSpec{
		Type: t, AttachType: attachType(t), Flags: flags, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
}

// newLinear returns a program that returns the length of the linear part.
func newLinear() (*trial, error) {
	return load(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), // data_end
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
			asm.Sub.Reg(asm.R0, asm.R2),
			asm.Return(),
		},
	})
}

func load(spec *ebpf.ProgramSpec) (*trial, error) {
	prog, err := ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogDisabled: true})
	if err != nil {
		return nil, fmt.Errorf("loading a program of type %s to try what this kernel accepts: %w%s", spec.Type, err, Explain(err))
	}
	return &trial{prog: prog, run: NewRun(prog.FD())}, nil
}

func (t *trial) close() { t.prog.Close() }

func (t *trial) data(in []byte) unix.Errno {
	t.run.SetData(in, nil)
	return t.run.Do()
}

// packets bisects the sizes of data_in, given that legalPacket is one.
func (t *trial) packets(buf []byte) Range {
	return Range{
		Min: legalPacket - lastGood(legalPacket, func(n int) bool { return t.data(buf[:legalPacket-n]) == 0 }),
		Max: legalPacket + lastGood(largest-legalPacket, func(n int) bool { return t.data(buf[:legalPacket+n]) == 0 }),
	}
}

// context runs the program with a context and no packet.
func (t *trial) context(ctx []byte) unix.Errno {
	t.run.SetContext(ctx, nil)
	return t.data(nil)
}

// meta reports whether the kernel accepts n bytes of metadata.
func (t *trial) meta(buf []byte, packet, n int) bool {
	ctx := make([]byte, xdpContextSize)
	binary.NativeEndian.PutUint32(ctx[0:], uint32(n))
	binary.NativeEndian.PutUint32(ctx[4:], uint32(n+packet))
	t.run.SetContext(ctx, nil)
	defer t.run.SetContext(nil, nil)
	return t.data(buf[:n+packet]) == 0
}
