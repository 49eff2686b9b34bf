package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/expr"
)

// exampleNames lists the programs whose speed is measured.
func exampleNames() []string { return []string{"firewall", "balancer", "conntrack", "egress"} }

// exampleTarget loads an example as its target file says, for batches.
func exampleTarget(t testing.TB, name string) *Target {
	t.Helper()
	return exampleTargetWith(t, name, Options{})
}

// exampleTargetWith does so with options besides.
func exampleTargetWith(t testing.TB, name string, opts Options) *Target {
	t.Helper()
	dir := filepath.Join("../../examples", name)
	file, err := ReadTargetFile(filepath.Join(dir, "target.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := Open(file.Object)
	if err != nil {
		t.Fatal(err)
	}
	opts.Program, opts.Setup, opts.Executor = file.Program, file.Setup(), executorBatch
	target, err := NewTarget(obj, opts)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// typical is a packet of 64 bytes that gets far into the examples: TCP to a port
// that is offered, and to one that is preferred.
func typical() []byte {
	packet := make([]byte, 64)
	copy(packet[12:], []byte{8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 6, 0, 0, 198, 51, 100, 1, 10, 0, 0, 1})
	copy(packet[34:], []byte{0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0})
	return packet
}

// BenchmarkWays gives the parts of what bpffuzz bench compares one by one, for a
// profile: processor time for an execution with packets of 64 bytes.
func BenchmarkWays(b *testing.B) {
	needBatches(b)
	step := &corpus.Step{Packet: typical()}
	for _, name := range exampleNames() {
		target := exampleTarget(b, name)
		small := target.bounded(64, 0)
		for _, way := range []struct {
			name string
			open opener
		}{
			{BenchCall, small.workCall(step)},
			{BenchInstrumented, small.workInstrumented(step)},
			{BenchSingle, small.workSingle(step)},
			{BenchBatch, small.workBatch(step, nil)},
			{BenchJudged, small.workBatch(step, newJudge(b, target))},
			{"mutate", workMutate(small)},
		} {
			b.Run(name+"/"+way.name, func(b *testing.B) { benchWork(b, way.open) })
		}
		b.Run(name+"/"+BenchLoop, func(b *testing.B) { benchEngine(b, small, fuzz.Options{NoFurther: true}) })
		b.Run(name+"/"+BenchLoop+", further features", func(b *testing.B) { benchEngine(b, small, fuzz.Options{FurtherAfter: 1}) })
	}
}

// benchWork reports the processor time of one of b.N executions.
func benchWork(b *testing.B, open opener) {
	done := make(chan error)
	go func() {
		w, err := open(0)
		if err == nil {
			err = measured(b, w.do)
			err = errors.Join(err, w.close())
		}
		done <- err
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func measured(b *testing.B, do func(context.Context) (int, error)) error {
	b.ReportAllocs()
	b.ResetTimer()
	before, err := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	execs := 0
	for execs < b.N && err == nil {
		n := 0
		n, err = do(b.Context())
		execs += n
	}
	if err != nil {
		return err
	}
	used, err := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	b.ReportMetric(float64(used-before)/float64(execs), "cpu-ns/op")
	return err
}

// workMutate fills each batch by mutating seeds, without an engine.
func workMutate(t *Target) opener {
	return func(worker int) (*work, error) {
		e, err := t.NewExecutor(worker)
		if err != nil {
			return nil, err
		}
		mut, seeds, n := mutate.New(t.shape, mutate.Options{}), mutate.Seeds(t.shape), 0
		return &work{close: e.Close, do: func(ctx context.Context) (int, error) {
			batch := e.Batch()
			batch.Reset()
			for in := batch.Next(); in != nil; in = batch.Next() {
				mut.Mutate(in, seeds[n/8%len(seeds)], seeds[n%len(seeds)])
				batch.Commit()
				n++
			}
			return len(batch.Slots()), e.Run(ctx)
		}}, nil
	}
}

// benchEngine reports the processor time of one of b.N executions of the engine, that
// of all threads.
func benchEngine(b *testing.B, target *Target, opts fuzz.Options) {
	if b.N < 1000 {
		return
	}
	b.ReportAllocs()
	opts.Seed, opts.Execs, opts.Judge = 1, uint64(b.N), newJudge(b, target)
	b.ResetTimer()
	before, err := cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fuzz.Run(b.Context(), target, opts); err != nil {
		b.Fatal(err)
	}
	used, err := cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(used-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkBars reports, in one run and side by side, how many executions there are
// in the processor time of a bare call, and what oracles cost of the batch rate.
func BenchmarkBars(b *testing.B) {
	needBatches(b)
	for _, name := range exampleNames() {
		b.Run(name, func(b *testing.B) { benchBars(b, exampleTarget(b, name)) })
	}
}

func benchBars(b *testing.B, target *Target) {
	verdict, err := expr.Compile("", "ret <= 65535", target.Shape())
	if err != nil {
		b.Fatal(err)
	}
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{Invariants: []triage.Oracle{verdict}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		report, err := target.Bench(b.Context(), BenchOptions{
			Sizes: []int{64}, Slots: []int{batchSlots}, Runs: 5, Oracles: oracles, Relations: relations,
		})
		if err != nil {
			b.Fatal(err)
		}
		for i := range report.Rows {
			row := &report.Rows[i]
			b.ReportMetric(row.Ratio.Median, row.Way+"/"+strconv.Itoa(row.Size))
			b.ReportMetric(row.Best, row.Way+"-best/"+strconv.Itoa(row.Size))
		}
	}
	b.ReportMetric(0, "ns/op")
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

// BenchmarkRestoreBatch shows what it costs to put back what a batch did: processor
// time for an execution, of which each changes an entry of its own, in a map that is
// full and in one that is empty, and for executions that change nothing.
func BenchmarkRestoreBatch(b *testing.B) {
	for _, kind := range []struct {
		name    string
		entries uint32
		request func(n uint32) request
	}{
		{"nothing", 65536, func(uint32) request { return request{Map: 99} }},
		{"hash written", 65536, func(n uint32) request { return request{2, opWrite, 1, 0, 251 * n, 7} }},
		{"hash added", 0, func(n uint32) request { return request{2, opUpdate, 1, 0, 251 * n, 7} }},
		{"lru added", 0, func(n uint32) request { return request{4, opUpdate, 1, 0, 251 * n, 7} }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			needBatches(b)
			target := restoreTarget(b, 65536, kind.entries, executorBatch)
			isolated(b, func() {
				batch := mustBatch(b, target)
				batch.batch.Reset()
				for n := uint32(0); ; n++ {
					in := batch.batch.Next()
					if in == nil {
						break
					}
					in.CopyFrom(requests(kind.request(n)))
					batch.batch.Commit()
				}
				err := measured(b, func(ctx context.Context) (int, error) { return batch.batch.Len(), batch.Run(ctx) })
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func benchmarkRestore(b *testing.B, entries uint32, in *corpus.Input) {
	needKernel(b)
	target := restoreTarget(b, entries, entries, executorSingle)
	isolated(b, func() {
		e := open(b, target)
		run(b, e, slices.Repeat([]*corpus.Input{in}, slots)...)
		err := measured(b, func(ctx context.Context) (int, error) { return slots, e.Run(ctx) })
		if err != nil {
			b.Error(err)
		}
	})
}

// restoreTarget returns the state program with maps of that size, of which the hash
// has so many initial entries.
func restoreTarget(b *testing.B, size, entries uint32, executor string) *Target {
	b.Helper()
	obj, err := Open("testdata/state.o")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"array", "hash", "lru_hash"} {
		obj.spec.Maps[name].MaxEntries = size
	}
	setup := Setup{Maps: MapContents{}}
	for key := range entries {
		setup.Maps["hash"] = append(setup.Maps["hash"], MapItem{Key: key, Value: map[string]any{"n": 1}})
	}
	target, err := NewTarget(obj, Options{Program: "state", Setup: setup, MaxSteps: 1, Executor: executor})
	if err != nil {
		b.Fatal(err)
	}
	return target
}

// BenchmarkMemory reports what one more worker takes, in memory that is in use.
func BenchmarkMemory(b *testing.B) {
	needKernel(b)
	for _, name := range exampleNames() {
		b.Run(name, func(b *testing.B) {
			target := exampleTarget(b, name)
			var grown int64
			for b.Loop() {
				before := resident(b)
				var executors []fuzz.Executor
				isolated(b, func() {
					for range 4 {
						e, err := target.NewExecutor(0)
						if err != nil {
							b.Fatal(err)
						}
						executors = append(executors, e)
						fillBatch(e.Batch(), &corpus.Step{Packet: typical()})
						if err := e.Run(b.Context()); err != nil {
							b.Fatal(err)
						}
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
