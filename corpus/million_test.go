//go:build unix

package corpus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkLoad opens and reads corpora of a thousand and, to say what a large one takes,
// of a million entries, the first time and again, when there is a pack. The large one
// takes some five gigabytes, in $TMPDIR, and a minute to make:
//
//	go test -run '^$' -bench BenchmarkLoad -benchtime 1x -timeout 1h ./corpus
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "corpus")
			makeEntries(b, path, n)
			for _, again := range []bool{false, true} {
				b.Run(map[bool]string{false: "first", true: "again"}[again], func(b *testing.B) { benchmarkLoad(b, path, n, again) })
			}
		})
	}
}

func benchmarkLoad(b *testing.B, path string, n int, again bool) {
	before := processorTime(b)
	for b.Loop() {
		if !again {
			os.Remove(path + ".pack")
		}
		loadAll(b, path, n)
	}
	b.ReportMetric(float64(processorTime(b)-before)/1e9/float64(b.N), "cpu-s/op")
}

// processorTime is what the process has used, in nanoseconds: where a machine is busy, it says
// more than the time on the wall.
func processorTime(b *testing.B) int64 {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

// makeEntries writes n entries of packets of 60 bytes and more.
func makeEntries(b *testing.B, path string, n int) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range n {
		packet := make([]byte, 60+rng.IntN(2)*rng.IntN(200))
		for i := range packet {
			packet[i] = byte(rng.Uint32())
		}
		contents := MarshalFile(&Input{Steps: []Step{{Packet: packet}}})
		if err := os.WriteFile(filepath.Join(path, FileName(contents)), contents, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

func loadAll(b *testing.B, path string, n int) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d, err := OpenDir(path)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]*Input, 0, n)
	err = d.Load(b.Context(), func(in *Input) { all = append(all, in) }, func(err error) { b.Error(err) })
	if err != nil || len(all) != n {
		b.Fatalf("loaded %d entries of %d: %v", len(all), n, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
	runtime.KeepAlive(all)
}
