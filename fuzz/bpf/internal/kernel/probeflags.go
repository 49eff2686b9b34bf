package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
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
