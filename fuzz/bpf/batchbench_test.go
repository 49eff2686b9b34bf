package bpf

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// BenchmarkBatch compares, in CPU time for one execution of an example with
// packets of 64 bytes: the call alone in a loop on the plain program, one call for
// each packet, batches, and the whole loop of the engine.
func BenchmarkBatch(b *testing.B) {
	needBatches(b)
	for _, name := range []string{"firewall", "balancer", "conntrack", "egress"} {
		target := exampleTarget(b, name)
		b.Run(name+"/call", func(b *testing.B) { onThread(b, func() error { return benchCall(b, target) }) })
		b.Run(name+"/single", func(b *testing.B) {
			onThread(b, func() error {
				e, err := newExecutor(target, 0)
				if err != nil {
					return err
				}
				return benchExecutor(b, e)
			})
		})
		b.Run(name+"/batch", func(b *testing.B) {
			onThread(b, func() error {
				e, err := openBatch(target)
				if err != nil {
					return err
				}
				return benchExecutor(b, e)
			})
		})
		b.Run(name+"/mutate", func(b *testing.B) {
			onThread(b, func() error {
				e, err := openBatch(target)
				if err != nil {
					return err
				}
				return benchMutate(b, e)
			})
		})
		b.Run(name+"/loop", func(b *testing.B) { benchLoop(b, target) })
	}
}

func openBatch(target *Target) (*batchExecutor, error) {
	single, err := newExecutor(target, 0)
	if err != nil {
		return nil, err
	}
	return newBatchExecutor(single)
}

// exampleTarget loads an example as its target file says.
func exampleTarget(t testing.TB, name string) *Target {
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
	target, err := NewTarget(obj, Options{Program: file.Program, Setup: file.Setup(), Executor: executorBatch})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func onThread(b *testing.B, do func() error) {
	if err := kernel.Isolated(0, do); err != nil {
		b.Fatal(err)
	}
}

// cpuTime returns what the calling thread has used.
func threadTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measured reports the CPU time of one of b.N executions.
func measured(b *testing.B, do func() error) error {
	b.ReportAllocs()
	b.ResetTimer()
	before := threadTime()
	err := do()
	b.ReportMetric(float64(threadTime()-before)/float64(b.N), "cpu-ns/op")
	return err
}

// benchPackets returns seeds cut or filled up to 64 bytes.
func benchPackets(target *Target) [][]byte {
	var packets [][]byte
	for _, in := range mutate.Seeds(target.shape) {
		p := make([]byte, 64)
		copy(p, in.Steps[0].Packet)
		packets = append(packets, p)
	}
	return packets
}

func benchCall(b *testing.B, target *Target) error {
	coll, err := ebpfPlain(target)
	if err != nil {
		return err
	}
	defer coll.Close()
	run := kernel.NewRun(coll.Programs[target.program].FD())
	packets, out := benchPackets(target), make([]byte, 4096)
	return measured(b, func() error {
		for i := range b.N {
			run.SetData(packets[i%len(packets)], out)
			if errno := run.Do(); errno != 0 {
				return errno
			}
		}
		return nil
	})
}

func benchExecutor(b *testing.B, e fuzz.Executor) error {
	batch := e.Batch()
	var target *Target
	switch e := e.(type) {
	case *executor:
		target = e.target
	case *batchExecutor:
		target = e.target()
	}
	packets := benchPackets(target)
	fill := func() {
		batch.Reset()
		for i := 0; ; i++ {
			in := batch.Next()
			if in == nil {
				return
			}
			s := in.Grow()
			s.Packet = append(s.Packet, packets[i%len(packets)]...)
			batch.Commit()
		}
	}
	err := measured(b, func() error {
		for n := 0; n < b.N; n += batch.Cap() {
			fill()
			if err := e.Run(context.Background()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.Close()
}

func benchMutate(b *testing.B, e *batchExecutor) error {
	batch := e.Batch()
	mut := mutate.New(e.target().shape, mutate.Options{})
	seeds := mutate.Seeds(e.target().shape)
	err := measured(b, func() error {
		for n := 0; n < b.N; n += batch.Cap() {
			batch.Reset()
			for i := 0; ; i++ {
				in := batch.Next()
				if in == nil {
					break
				}
				mut.Mutate(in, seeds[(n+i)/8%len(seeds)], seeds[i/8%len(seeds)])
				batch.Commit()
			}
			if err := e.Run(context.Background()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.ReportMetric(float64(len(e.rows)), "rows")
	b.ReportMetric(float64(len(e.alone)), "alone")
	return e.Close()
}

func benchLoop(b *testing.B, target *Target) {
	if b.N < 1000 {
		return
	}
	b.ReportAllocs()
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if _, err := fuzz.Run(b.Context(), target, fuzz.Options{Execs: uint64(b.N)}); err != nil {
		b.Fatal(err)
	}
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}

func ebpfPlain(target *Target) (*ebpf.Collection, error) {
	return ebpf.NewCollection(target.spec.Copy())
}
