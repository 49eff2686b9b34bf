package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	targetFlags
	sizes, slots []int
	runs         int
	duration     time.Duration
	workers      int
	packet       string
	seed         uint64
	executor     string
	json         bool
}

func newBench(u *ui) *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench [flags] [OBJECT]",
		Short: "Measure how fast a program runs, side by side",
		Long: `Bench runs a program in different ways, one after the other and over again, and
compares them:

  call    a bare loop of BPF_PROG_RUN calls on the program as it is, what everything
          else is compared with
  instrumented
          the same with coverage that nobody reads
  single  the executor that makes a call for each packet, with coverage
  batch   the executor that runs many packets in a call, with coverage
  judged  the same, and the oracles judge every outcome
  loop    the fuzzer: mutation, coverage, oracles and corpus

What is not mutated runs one packet, of each size: the given one grown with zeros, or
the one that covers the most of those that a short run keeps. Numbers are medians of
all rounds with their range. Processor time is the kernel's as well, and hardly
depends on what else the machine does; ratios are taken within each round, and BEST
is that of the least times of all rounds: best of three with --runs 3.`,
		Example: `  sudo bpffuzz bench firewall.o
  sudo bpffuzz bench -c target.yaml --sizes 64 --slots 256,4096 --runs 9
  sudo bpffuzz bench --packet deep.pcap lb.o
  sudo bpffuzz bench --json lb.o | jq '.rows[] | select(.way == "loop") | .ratio.median'`,
		Args:              pointed(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.register(cmd)
	return cmd
}

func (f *benchFlags) register(cmd *cobra.Command) {
	f.targetFlags.register(cmd)
	flags := cmd.Flags()
	flags.IntSliceVar(&f.sizes, "sizes", nil, "lengths of packets in `bytes` (default 64,512,1500, or the length of --packet)")
	flags.IntSliceVar(&f.slots, "slots", []int{64, 256, 1024, 4096}, "packets in a batch, powers of two")
	flags.IntVar(&f.runs, "runs", 5, "rounds, in each of which everything is measured once")
	flags.DurationVarP(&f.duration, "duration", "d", 100*time.Millisecond, "how `long` each measurement takes")
	flags.IntVarP(&f.workers, "workers", "j", runtime.GOMAXPROCS(0), "workers to measure together, besides one alone")
	flags.StringVar(&f.packet, "packet", "", "capture, raw packet or corpus `file` with the packet to run (default: one that goes deep)")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of every random choice")
	flags.StringVar(&f.executor, "executor", "auto", "how the whole loop runs the program: auto, batch or single")
	flags.BoolVar(&f.json, "json", false, "write one JSON object instead of a table")
	_ = cmd.RegisterFlagCompletionFunc("executor", cobra.FixedCompletions([]string{"auto", "batch", "single"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("packet")
}

// check refuses flags that make no sense before anything is loaded.
func (f *benchFlags) check() error {
	if err := checkExecutor(f.executor); err != nil {
		return err
	}
	for _, n := range f.slots {
		if n < 1 || n > bpf.MaxBenchSlots || n&(n-1) != 0 {
			return usageError("--slots %d: choose powers of two from 1 to %d", n, bpf.MaxBenchSlots)
		}
	}
	for _, n := range f.sizes {
		if n < 1 || n > math.MaxUint16 {
			return usageError("--sizes %d: choose 1 to %d", n, math.MaxUint16)
		}
	}
	switch {
	case f.runs < 1 || f.runs > 1000:
		return usageError("--runs %d: choose 1 to 1000", f.runs)
	case f.duration < time.Millisecond || f.duration > time.Minute:
		return usageError("--duration %s: choose 1ms to 1m", f.duration)
	}
	return checkWorkers(f.workers)
}

func (f *benchFlags) run(ctx context.Context, u *ui, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	if _, err := f.read(args); err != nil {
		return err
	}
	opts := bpf.BenchOptions{
		Sizes: f.sizes, Slots: f.slots, Runs: f.runs, Duration: f.duration, Workers: f.workers, Seed: f.seed,
	}
	var err error
	if opts.Packet, err = f.readPacket(u); err != nil {
		return err
	}
	f.how = f.executor
	s, err := f.load(u, 0)
	if err != nil {
		return err
	}
	opts.Oracles, opts.Relations = s.oracles, s.relations
	u.detail("measuring %s (%s) of %s, %s of %s each", s.target.Shape().Program, s.target.Shape().Type, s.path, count(f.runs, "round"), f.duration)
	report, err := s.target.Bench(ctx, opts)
	if err != nil {
		return fmt.Errorf("measuring %s of %s: %w", s.target.Shape().Program, s.path, err)
	}
	measured := newMeasured(s, f, report)
	if f.json {
		return u.printJSON(measured)
	}
	u.print(measured.text())
	return nil
}

// readPacket reads the only step of the only input of --packet.
func (f *benchFlags) readPacket(u *ui) ([]byte, error) {
	if f.packet == "" {
		return nil, nil
	}
	all, err := readInputs(f.packet, func(err error) { u.warn("%v", err) })
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || len(all[0].in.Steps) != 1 {
		return nil, usageError("--packet %s: %s, give a file with one packet", f.packet, count(len(all), "input"))
	}
	if len(all[0].in.Steps[0].Packet) == 0 {
		return nil, usageError("--packet %s: its packet is empty", f.packet)
	}
	return all[0].in.Steps[0].Packet, nil
}

// kernelRelease is the running kernel's version and machine, for who reads numbers
// elsewhere.
func kernelRelease() (release, machine string) {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown", runtime.GOARCH
	}
	return unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:])
}
