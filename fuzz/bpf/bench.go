package bpf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/triage"
)

// BenchOptions says what Bench measures. The zero value measures packets of 64, 512
// and 1500 bytes in batches of 64, 256, 1024 and 4096 slots with one worker, without
// oracles.
type BenchOptions struct {
	// Sizes are lengths of packets in bytes, in the limits of the type; nil means 64,
	// 512 and 1500 as far as the type takes them. The first one is the size of what is
	// not measured for all. Types without packets have no sizes.
	Sizes []int
	// Slots are how many packets a batch may hold, powers of two up to MaxBenchSlots;
	// nil means 64, 256, 1024 and 4096.
	Slots []int
	// Runs is how often each number is measured; 0 means 5.
	Runs int
	// Duration is how long each measurement takes; 0 means 100 ms.
	Duration time.Duration
	// Workers is how many workers are measured together besides one alone; 0 means 1.
	Workers int
	// Packet is run where nothing is mutated, grown with zeros to each size; nil has a
	// short run look for one.
	Packet []byte
	// Seed is that of the short run and of the whole loop.
	Seed uint64
	// Oracles and Relations judge in the whole loop. Those that object to something in
	// the short run are left out: how long it takes to investigate depends on what was
	// found.
	Oracles   []triage.Oracle
	Relations []triage.Relation
}

// MaxBenchSlots is the largest batch that Bench measures.
const MaxBenchSlots = 1 << 14

// maxBatchMemory bounds the memory of a batch, in bytes.
const maxBatchMemory = 128 << 20

const (
	defaultBenchRuns     = 5
	defaultBenchDuration = 100 * time.Millisecond
)

// Ways to run a program that Bench compares, values of BenchRow.Way.
const (
	// BenchCall is a bare loop of BPF_PROG_RUN calls on the program as it is.
	BenchCall = "call"
	// BenchInstrumented is the same loop on the instrumented program.
	BenchInstrumented = "instrumented"
	// BenchSingle is the executor that makes a call for each packet, BenchBatch the
	// one that runs batches, BenchJudged the same with the oracles asked of every
	// outcome. Nothing is mutated.
	BenchSingle = "single"
	BenchBatch  = "batch"
	BenchJudged = "judged"
	// BenchLoop is the fuzzer itself: mutation, coverage, oracles and corpus.
	BenchLoop = "loop"
)

// BenchReport is what Bench measured.
type BenchReport struct {
	Packets []BenchPacket
	Rows    []BenchRow
	// Notes say what is not measured and why, a line each.
	Notes []string
}

// BenchRow is one thing measured.
type BenchRow struct {
	// Way is one of the Bench constants, Executor the executor behind it: "batch",
	// "single" or "trigger", "" for the bare loops.
	Way, Executor string
	// Size is the length of the packets in bytes, for BenchLoop the most that it may
	// be; 0 means any. Slots is how many a batch holds, 0 without batches. Workers is
	// how many ran at once.
	Size, Slots, Workers int
	// Execs counts the executions of all runs and workers.
	Execs uint64
	// CPU is the processor time of one execution in nanoseconds, that of the kernel
	// included. Rate is executions per second of wall time, of all workers together.
	CPU, Rate Spread
	// Ratio is how many times cheaper in processor time an execution is than that of a
	// bare call in the same run, on a packet of the same size (for BenchLoop without a
	// size, of the first). Scale is Rate over that of one worker in the same run.
	// Each is all zeros where there is nothing to compare with.
	Ratio, Scale Spread
	// Best is the least processor time of a bare call in any run over the least of this
	// one, and so what Ratio is where nothing else disturbs either; 0 where Ratio is.
	Best float64
}

// Spread is what came of several runs.
type Spread struct{ Median, Min, Max float64 }

// Bench measures side by side how fast the program runs in different ways. All are
// set up first, and every run measures each in turn, so that what else happens on
// the machine meets all alike. The calling goroutine does not matter; programs run on
// threads with network namespaces of their own.
func (t *Target) Bench(ctx context.Context, opts BenchOptions) (*BenchReport, error) {
	opts, err := t.benchDefaults(opts)
	if err != nil {
		return nil, err
	}
	b := &bencher{target: t, opts: opts, report: &BenchReport{}}
	if err := b.scout(ctx); err != nil {
		return nil, err
	}
	err = b.open()
	for run := 0; run < opts.Runs && err == nil; run++ {
		err = b.round(ctx)
	}
	if err = errors.Join(err, b.close()); err != nil {
		return nil, err
	}
	b.summarize()
	return b.report, nil
}

// benchDefaults fills in what opts leaves out and refuses what cannot be.
func (t *Target) benchDefaults(o BenchOptions) (BenchOptions, error) {
	if t.live != nil {
		return o, errors.New("live frames are not measured: leave them out")
	}
	o.Runs = cmp.Or(o.Runs, defaultBenchRuns)
	o.Duration = cmp.Or(o.Duration, defaultBenchDuration)
	o.Workers = max(o.Workers, 1)
	if err := o.fillSizes(t); err != nil {
		return o, err
	}
	if o.Slots == nil {
		o.Slots = []int{64, 256, 1024, 4096}
	}
	return o, o.checkSlots()
}

func (o *BenchOptions) checkSlots() error {
	largest := slices.Max(o.Sizes)
	for _, n := range o.Slots {
		if n < 1 || n > MaxBenchSlots || n&(n-1) != 0 {
			return fmt.Errorf("batches of %d slots: choose powers of two from 1 to %d", n, MaxBenchSlots)
		}
		if need := instrument.NewBatchLayout(instrument.XDP, n, largest, largest).Size; need > maxBatchMemory {
			return fmt.Errorf("batches of %d slots for packets of %d bytes take %d MiB of memory: choose fewer or smaller ones", n, largest, need>>20)
		}
	}
	return nil
}

// fillSizes chooses the sizes, or checks those that were chosen.
func (o *BenchOptions) fillSizes(t *Target) error {
	least, most := max(t.shape.Packet.Min, t.shape.MinIPv4, t.shape.MinIPv6), min(t.shape.Packet.Max, t.linear)
	if most <= 0 {
		if len(o.Sizes) > 0 || o.Packet != nil {
			return fmt.Errorf("programs of type %s take no packet: leave sizes and packet out", t.shape.Type)
		}
		o.Sizes = []int{0}
		return nil
	}
	if o.Packet != nil && o.Sizes == nil {
		o.Sizes = []int{len(o.Packet)}
	}
	for _, n := range o.Sizes {
		if n < least || n > most {
			return fmt.Errorf("packets of %d bytes: programs of type %s take %d to %d here", n, t.shape.Type, least, most)
		}
		if n < len(o.Packet) {
			return fmt.Errorf("packets of %d bytes: the one to run has %d, choose sizes that hold it", n, len(o.Packet))
		}
	}
	if o.Sizes == nil {
		for _, n := range []int{64, 512, 1500} {
			if n >= least && n <= most {
				o.Sizes = append(o.Sizes, n)
			}
		}
	}
	if len(o.Sizes) == 0 {
		o.Sizes = []int{most}
	}
	return nil
}
