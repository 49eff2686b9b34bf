package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Flags of BPF_PROG_RUN and of BPF_PROG_LOAD, as the kernel's user-space interface
// numbers them.
const (
	runOnCPU            = 1 << 0
	runLiveFrames       = 1 << 1
	runChecksumComplete = 1 << 2
	runUndefined        = 1 << 31

	loadRndHi32       = 1 << 2
	loadStateFreq     = 1 << 3
	loadRegInvariants = 1 << 7
)

// maxLiveBatch bounds the batch sizes that are tried.
const maxLiveBatch = 4096

// runFlags tries what else the command takes from a type, each by itself.
func (p *prober) runFlags(t *probedType, trial *trial) []FeatureProbe {
	try := func(set func(r *Run)) unix.Errno {
		again := NewRun(trial.prog.FD())
		again.SetContext(t.context, nil)
		again.SetData(p.buf[:t.packet], nil)
		set(again)
		return again.Do()
	}
	flag := func(name string, flag uint32) FeatureProbe {
		return FeatureProbe{name, answer(name, try(func(r *Run) { r.SetFlags(flag, 0) }))}
	}
	repeat := FeatureProbe{"repeat", answer("repeat", try(func(r *Run) { r.SetRepeat(2) }))}
	cpu := FeatureProbe{"run_on_cpu", tryCPU(try)}
	if try(func(r *Run) { r.SetFlags(runUndefined, 0) }) == 0 {
		// The type does not look at what it does not know, so only a refusal tells.
		if repeat.Err == nil {
			return []FeatureProbe{cpu}
		}
		return []FeatureProbe{repeat, cpu}
	}
	flags := []FeatureProbe{repeat, cpu, flag("checksum_complete", runChecksumComplete)}
	if p.isolated {
		return append(flags, flag("live_frames", runLiveFrames))
	}
	return append(flags, FeatureProbe{"live_frames", p.errIsolation()})
}

// tryCPU asks for a processor that exists, and for one that cannot exist.
func tryCPU(try func(set func(r *Run)) unix.Errno) error {
	const none = 1 << 20
	cpu, err := firstCPU()
	if err != nil {
		return err
	}
	if err := answer("run_on_cpu", try(func(r *Run) { r.SetFlags(runOnCPU, cpu) })); err != nil {
		return err
	}
	return tell(try(func(r *Run) { r.SetFlags(runOnCPU, none) }) != 0, "run_on_cpu: ignored, even for a processor that does not exist")
}

// firstCPU returns a processor that this thread may use.
func firstCPU() (uint32, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return 0, fmt.Errorf("reading the processors of a thread: %w", err)
	}
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			return uint32(cpu), nil
		}
	}
	return 0, errors.New("this thread may use no processor")
}

// loadFlags tries what makes the verifier stricter, or a packet longer.
func (p *prober) loadFlags() {
	for _, f := range [...]struct {
		name string
		flag uint32
	}{
		{"load-test-rnd-hi32", loadRndHi32},
		{"load-test-state-freq", loadStateFreq},
		{"load-test-reg-invariants", loadRegInvariants},
		{"load-xdp-has-frags", unix.BPF_F_XDP_HAS_FRAGS},
	} {
		trial, err := newTrial(ebpf.XDP, f.flag)
		if err == nil {
			trial.close()
		}
		p.add(f.name, notLoaded(err))
	}
}

// maps tries the kinds of maps that fuzzing itself needs.
func (p *prober) maps() {
	p.add("mmapable-array", tryArray())
	p.add("ring-buffer", tryRing())
}

// tryArray makes an array, writes through its memory and reads with a call.
func tryArray() error {
	m, err := newArray()
	if err != nil {
		return notLoaded(fmt.Errorf("making an array: %w", err))
	}
	defer m.Close()
	mem, err := MapMemory(m.FD(), 8)
	if err != nil {
		return err
	}
	mem[3] = 7
	value := make([]byte, 8)
	errno := NewMap(m.FD()).Lookup(make([]byte, 4), value)
	return errors.Join(answer("reading an array", errno), tell(value[3] == 7, "what is written through memory does not arrive"), Unmap(mem))
}

// tell is a definite no with a reason.
func tell(ok bool, why string) error {
	if ok {
		return nil
	}
	return no(errors.New(why))
}

func newArray() (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
}

func tryRing() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(unix.Getpagesize())})
	if err != nil {
		return notLoaded(fmt.Errorf("making a ring buffer: %w", err))
	}
	defer m.Close()
	ring, err := NewRing(m.FD())
	if err != nil {
		return err
	}
	return ring.Close()
}

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
