package corpus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// BenchmarkLoad opens and reads corpora of a thousand and, to say what a large one
// takes, of a million entries, which takes a minute to make and some four gigabytes:
//
//	go test -run '^$' -bench BenchmarkLoad -benchtime 1x ./corpus
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := b.TempDir()
			makeEntries(b, path, n)
			for b.Loop() {
				loadAll(b, path, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/entry")
		})
	}
}

// makeEntries writes n entries of packets of 60 bytes and more.
func makeEntries(b *testing.B, path string, n int) {
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
