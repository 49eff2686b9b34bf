package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// LiveFrames is the flag with which BPF_PROG_RUN does to the packet what an XDP
// program says.
const LiveFrames uint32 = runLiveFrames

// LiveLimits are the sizes that live frames may have on this kernel.
type LiveLimits struct {
	// Min and Max bound the packet, Meta the metadata before it, in bytes.
	Min, Max, Meta int
	// Batch is the largest batch_size.
	Batch int
}

// ErrNoLiveFrames is wrapped by MeasureLive on kernels without live frames.
var ErrNoLiveFrames = errors.New("this kernel has no live frames, which came with Linux 5.18")

// xdpDrop is the verdict that sends a live frame nowhere.
const xdpDrop = 1

// MeasureLive finds by trying whether the kernel has live frames, and their limits.
// Its frames are all dropped. Call it on a goroutine that is isolated all the same:
// what is tried is what reaches a network.
//
// No flag says that the kernel looks at flags at all: the one that was proposed for
// that was dropped. So an undefined one has to be refused, and the program's
// verdict must not come back, as it does from a run that is not live.
func MeasureLive() (l LiveLimits, err error) {
	trial, err := load(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
	if err != nil {
		return l, err
	}
	defer trial.close()
	buf := make([]byte, largest)
	trial.run.SetFlags(runUndefined, 0)
	if trial.data(buf[:legalPacket]) == 0 {
		return l, fmt.Errorf("%w: it takes flags that do not exist", ErrNoLiveFrames)
	}
	trial.run.SetFlags(runLiveFrames, 0)
	trial.run.SetBatchSize(1)
	if errno := trial.data(buf[:legalPacket]); errno != 0 {
		return l, fmt.Errorf("%w (%w)%s", ErrNoLiveFrames, errno, Explain(errno))
	}
	if ret := trial.run.Ret(); ret != 0 {
		return l, fmt.Errorf("%w: a frame that should be live came back with verdict %d", ErrNoLiveFrames, ret)
	}
	l.measure(trial, buf)
	return l, nil
}

func (l *LiveLimits) measure(trial *trial, buf []byte) {
	sizes := trial.packets(buf)
	l.Min, l.Max = sizes.Min, sizes.Max
	l.Meta = 4 * lastGood(xdpMeta/4, func(n int) bool { return trial.meta(buf, legalPacket, 4*n) })
	l.Batch = lastGood(maxLiveBatch, func(n int) bool {
		trial.run.SetBatchSize(uint32(n))
		return trial.data(buf[:legalPacket]) == 0
	})
}
