package bpf

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/triage"
)

// example is a program whose speed is measured.
type example struct{ name, file string }

func examples() []example {
	return []example{{"xdp", "../../examples/firewall/target.yaml"}, {"tc", "../../examples/egress/target.yaml"}}
}

// load makes a target for a call for each packet.
func (x example) load(b *testing.B) *Target {
	b.Helper()
	needKernel(b)
	file, err := ReadTargetFile(x.file)
	if err != nil {
		b.Fatal(err)
	}
	obj, err := Open(file.Object)
	if err != nil {
		b.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: file.Program, Setup: file.Setup(), Executor: "single"})
	if err != nil {
		b.Fatal(err)
	}
	return target
}

// cpuOf is what the calling thread, or the process, has used.
func cpuOf(b *testing.B, who int) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// typical is a packet of 64 bytes that gets far into the examples: TCP to a port
// that is offered, and to one that is preferred.
func typical() []byte {
	packet := make([]byte, 64)
	copy(packet[12:], []byte{8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 6, 0, 0, 198, 51, 100, 1, 10, 0, 0, 1})
	copy(packet[34:], []byte{0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0})
	return packet
}

// ceiling is the CPU time of one call of the program as it is, in a bare loop. On
// the calling thread.
func ceiling(b *testing.B, target *Target, n int) time.Duration {
	coll, err := ebpf.NewCollection(target.spec.Copy())
	if err != nil {
		b.Fatal(err)
	}
	defer coll.Close()
	call := kernel.NewRun(coll.Programs[target.program].FD())
	in, out := typical(), make([]byte, 4096)
	loop := func(n int) {
		for range n {
			call.SetData(in, out)
			if errno := call.Do(); errno != 0 {
				b.Fatal(errno)
			}
		}
	}
	loop(n / 10)
	before := cpuOf(b, unix.RUSAGE_THREAD)
	loop(n)
	return (cpuOf(b, unix.RUSAGE_THREAD) - before) / time.Duration(n)
}

// instrumentedCeiling is the same with the instrumented program, whose coverage
// and map marks nobody reads.
func instrumentedCeiling(b *testing.B, e *executor, n int) time.Duration {
	in, out := typical(), make([]byte, 4096)
	loop := func(n int) {
		for range n {
			e.hot.run.SetData(in, out)
			e.hot.run.SetContext(nil, nil)
			if errno := e.hot.run.Do(); errno != 0 {
				b.Fatal(errno)
			}
		}
	}
	loop(n / 10)
	before := cpuOf(b, unix.RUSAGE_THREAD)
	loop(n)
	return (cpuOf(b, unix.RUSAGE_THREAD) - before) / time.Duration(n)
}

// alreadyFilled is the CPU time of one execution of a batch that nobody fills anew.
func alreadyFilled(b *testing.B, e *executor, n int) time.Duration {
	batch := e.Batch()
	batch.Reset()
	for in := batch.Next(); in != nil; in = batch.Next() {
		in.Grow().CopyFrom(&corpus.Step{Packet: typical()})
		batch.Commit()
	}
	loop := func(n int) {
		for ; n > 0; n -= batch.Len() {
			if err := e.Run(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
	loop(n / 10)
	before := cpuOf(b, unix.RUSAGE_THREAD)
	loop(n)
	return (cpuOf(b, unix.RUSAGE_THREAD) - before) / time.Duration(n)
}

// BenchmarkWhole runs the engine alone, for a profile.
func BenchmarkWhole(b *testing.B) {
	for _, x := range examples() {
		b.Run(x.name, func(b *testing.B) {
			target := x.load(b)
			b.ReportMetric(float64(wholeLoop(b, target, max(b.N, 1000)).Nanoseconds()), "cpu-ns/op")
		})
	}
}

// wholeLoop is the CPU time of one execution of the engine, with mutation, coverage
// and oracles: that of all threads, less what a shorter run takes.
func wholeLoop(b *testing.B, target *Target, n int) time.Duration {
	// Packets stay at 64 bytes: the kernel copies them in and out, which is no work of ours.
	target.shape.Packet.Max = 64
	judge := newJudge(b, target)
	spend := func(execs int) time.Duration {
		before := cpuOf(b, unix.RUSAGE_SELF)
		result, err := fuzz.Run(context.Background(), target, fuzz.Options{
			Seed: 1, Execs: uint64(execs), Judge: judge,
			Triage: triage.Options{Program: target.program, Table: target.Table(), Shape: target.Shape()},
		})
		if err != nil {
			b.Fatal(err)
		}
		if result.Stats.Execs < uint64(execs) {
			b.Fatalf("%d executions of %d", result.Stats.Execs, execs)
		}
		return cpuOf(b, unix.RUSAGE_SELF) - before
	}
	short := spend(n / 2)
	return (spend(n+n/2) - short) / time.Duration(n)
}

// BenchmarkLoop compares, by CPU time and in one run, a bare loop of calls of the
// uninstrumented program, the executor alone, and the engine. The ratios are what
// the rest costs: 1 for nothing.
func BenchmarkLoop(b *testing.B) {
	for _, x := range examples() {
		b.Run(x.name, func(b *testing.B) {
			target := x.load(b)
			const n = 200_000
			var bare, instrumented, executor, whole time.Duration
			for b.Loop() {
				runtime.GC()
				isolated(b, func() {
					bare += ceiling(b, target, n)
					e := open(b, target)
					instrumented += instrumentedCeiling(b, e, n)
					executor += alreadyFilled(b, e, n)
				})
				whole += wholeLoop(b, target, n)
			}
			per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(per(bare), "ceiling-ns")
			b.ReportMetric(per(instrumented)/per(bare), "instrumented/plain")
			b.ReportMetric(per(bare)/per(executor), "ceiling/executor")
			b.ReportMetric(per(bare)/per(whole), "ceiling/whole")
			b.ReportMetric(per(whole), "whole-ns")
		})
	}
}

// BenchmarkRestore shows that putting maps back costs what a run touched, whatever
// their size: one execution that touches nothing, and one that changes one entry.
func BenchmarkRestore(b *testing.B) {
	for _, kind := range []struct {
		name string
		in   request
	}{{"array", request{Map: 0, Op: opAdd, Count: 1, Key: 3}}, {"hash", request{Map: 2, Op: opWrite, Count: 1, Key: 3}}} {
		for _, entries := range []uint32{256, 65536} {
			for touched, in := range []request{{Map: 99}, kind.in} {
				b.Run(fmt.Sprintf("%s/entries=%d/touched=%d", kind.name, entries, touched), func(b *testing.B) {
					benchmarkRestore(b, entries, requests(in))
				})
			}
		}
	}
}

func benchmarkRestore(b *testing.B, entries uint32, in *corpus.Input) {
	needKernel(b)
	obj, err := Open("testdata/state.o")
	if err != nil {
		b.Fatal(err)
	}
	obj.spec.Maps["array"].MaxEntries, obj.spec.Maps["hash"].MaxEntries = entries, entries
	setup := Setup{Maps: MapContents{}}
	for key := range entries {
		setup.Maps["hash"] = append(setup.Maps["hash"], MapItem{Key: key, Value: map[string]any{"n": 1}})
	}
	target, err := NewTarget(obj, Options{Program: "state", Setup: setup, MaxSteps: 1, Executor: "single"})
	if err != nil {
		b.Fatal(err)
	}
	isolated(b, func() {
		e := open(b, target)
		run(b, e, slices.Repeat([]*corpus.Input{in}, slots)...)
		b.ReportAllocs()
		b.ResetTimer()
		before := cpuOf(b, unix.RUSAGE_THREAD)
		for n := 0; n < b.N; n += slots {
			if err := e.Run(b.Context()); err != nil {
				b.Error(err)
			}
		}
		b.ReportMetric(float64((cpuOf(b, unix.RUSAGE_THREAD)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	})
}

// BenchmarkMemory reports what one more worker takes, in memory that is in use.
func BenchmarkMemory(b *testing.B) {
	for _, x := range examples() {
		b.Run(x.name, func(b *testing.B) {
			target := x.load(b)
			var grown int64
			for b.Loop() {
				before := resident(b)
				var executors []*executor
				isolated(b, func() {
					for range 4 {
						e, err := newExecutor(target, 0)
						if err != nil {
							b.Fatal(err)
						}
						executors = append(executors, e)
						run(b, e, slices.Repeat([]*corpus.Input{steps(corpus.Step{Packet: typical()})}, slots)...)
					}
					grown += (resident(b) - before) / int64(len(executors))
					for _, e := range executors {
						if err := e.Close(); err != nil {
							b.Error(err)
						}
					}
				})
				runtime.GC()
				debug.FreeOSMemory()
			}
			b.ReportMetric(float64(grown)/float64(b.N)/(1<<20), "MiB/worker")
		})
	}
}

// resident is the process's memory in use, in bytes.
func resident(b *testing.B) int64 {
	b.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
