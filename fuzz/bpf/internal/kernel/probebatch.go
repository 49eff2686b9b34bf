package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// maxLiveBatch bounds the batch sizes that are tried.
const maxLiveBatch = 4096

// batches runs programs many times in one call that load their packet themselves.
func (p *prober) batches() {
	p.add("batch-xdp", p.tryBatch(ebpf.XDP, asm.FnXdpAdjustTail, asm.FnXdpStoreBytes))
	p.add("batch-tc", p.tryBatch(ebpf.SchedCLS, asm.FnSkbChangeTail, asm.FnSkbStoreBytes))
}

// tryBatch has a program count its repetitions in an array, set the length of the
// packet and overwrite its first bytes, as a batch does. XDP programs have to be
// attached for that, or the kernel spends tens of milliseconds on each call.
func (p *prober) tryBatch(t ebpf.ProgramType, resize, store asm.BuiltinFunc) error {
	m, err := newArray()
	if err != nil {
		return notLoaded(fmt.Errorf("making an array: %w", err))
	}
	defer m.Close()
	trial, err := load(&ebpf.ProgramSpec{Type: t, License: "GPL", Instructions: batchProgram(m.FD(), t, resize, store)})
	if err != nil {
		return notLoaded(err)
	}
	defer trial.close()
	if t == ebpf.XDP {
		detach, err := p.attach(trial.prog)
		if err != nil {
			return err
		}
		defer detach()
	}
	const times = 8
	trial.run.SetRepeat(times)
	if err := answer("running a batch", trial.data(p.buf[:legalPacket])); err != nil {
		return err
	}
	value := make([]byte, 8)
	errno := NewMap(m.FD()).Lookup(make([]byte, 4), value)
	return errors.Join(answer("reading an array", errno), tell(value[0] == times, fmt.Sprintf("%d of %d repetitions succeeded", value[0], times)))
}

// batchProgram counts a repetition if both helpers succeed.
func batchProgram(array int, t ebpf.ProgramType, resize, store asm.BuiltinFunc) asm.Instructions {
	ins := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	if t == ebpf.XDP {
		ins = append(ins, asm.Mov.Imm(asm.R2, -1)) // one byte shorter each time
	} else {
		ins = append(ins, asm.Mov.Imm(asm.R2, legalPacket-1), asm.Mov.Imm(asm.R3, 0))
	}
	ins = append(ins,
		resize.Call(),
		asm.JNE.Imm(asm.R0, 0, "end"),
		asm.StoreMem(asm.R10, -8, asm.R0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.R10),
		asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 8),
		asm.Mov.Imm(asm.R5, 0),
		store.Call(),
		asm.JNE.Imm(asm.R0, 0, "end"),
		asm.LoadMapValue(asm.R1, array, 0),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Byte),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R1, 0, asm.R2, asm.Byte),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	)
	return ins
}

// attach attaches an XDP program to the loopback interface of the private namespace.
func (p *prober) attach(prog *ebpf.Program) (detach func() error, err error) {
	if err := p.errIsolation(); err != nil {
		return nil, err
	}
	const lo = 1
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: lo, Flags: link.XDPGenericMode})
	if err != nil {
		return nil, notLoaded(fmt.Errorf("attaching to the loopback interface of a private namespace: %w", err))
	}
	return l.Close, nil
}

// live sends frames that the program drops, so that none goes anywhere.
func (p *prober) live() {
	p.add("live-frames", p.tryLive())
}

func (p *prober) tryLive() error {
	if err := p.errIsolation(); err != nil {
		return err
	}
	drop := probedType{spec: ebpf.ProgramSpec{Type: ebpf.XDP}}
	trial, closeAll, err := drop.load()
	if err != nil {
		return err
	}
	defer closeAll()
	trial.run.SetFlags(runLiveFrames, 0)
	if err := answer("running live frames", trial.data(p.buf[:legalPacket])); err != nil {
		return err
	}
	p.found.LiveMax = trial.packets(p.buf).Max
	p.found.LiveBatch = 1 + lastGood(maxLiveBatch, func(n int) bool {
		trial.run.SetBatchSize(uint32(n + 1))
		return trial.data(p.buf[:legalPacket]) == 0
	})
	return nil
}
