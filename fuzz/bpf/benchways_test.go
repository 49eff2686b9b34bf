package bpf

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// Batches of every size give what single calls give.
func TestBatchesOfAllSizes(t *testing.T) {
	needBatches(t)
	obj, err := Open("testdata/types/skb.o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: "sched_cls"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 64, 4096} {
		isolated(t, func() {
			b := mustBatch(t, target.bounded(0, n))
			if b.Batch().Cap() != n {
				t.Errorf("%d slots, want %d", b.Batch().Cap(), n)
			}
			seeds := mutate.Seeds(target.shape)
			b.batch.Reset()
			for i := range n {
				b.batch.Next().CopyFrom(seeds[i*7%len(seeds)])
				b.batch.Commit()
			}
			if err := b.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range min(n, 256) {
				got := b.batch.Outcome(i).Steps[0]
				ret, packet := got.Ret, bytes.Clone(got.Packet)
				want, err := b.Alone(t.Context(), b.batch.Input(i), corpus.HaveRet|corpus.HavePacket)
				if err != nil {
					t.Fatal(err)
				}
				if ret != want.Steps[0].Ret || !bytes.Equal(packet, want.Steps[0].Packet) {
					t.Errorf("%d slots: input %d gives %d, alone %d", n, i, ret, want.Steps[0].Ret)
				}
			}
		})
	}
}

func TestBenchRefuses(t *testing.T) {
	target := &Target{
		shape:  &corpus.Shape{Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 9000}, MinIPv4: 34},
		linear: 3520,
	}
	none := &Target{shape: &corpus.Shape{Type: "syscall"}}
	for _, test := range []struct {
		name   string
		target *Target
		opts   BenchOptions
		want   string
	}{
		{"too short", target, BenchOptions{Sizes: []int{64, 33}}, "packets of 33 bytes: programs of type xdp take 34 to 3520"},
		{"too long", target, BenchOptions{Sizes: []int{3521}}, "take 34 to 3520"},
		{"packet does not fit", target, BenchOptions{Sizes: []int{64}, Packet: make([]byte, 65)}, "the one to run has 65"},
		{"no slots", target, BenchOptions{Slots: []int{0}}, "batches of 0 slots: choose powers of two"},
		{"odd slots", target, BenchOptions{Slots: []int{96}}, "batches of 96 slots: choose powers of two"},
		{"many slots", target, BenchOptions{Slots: []int{2 * MaxBenchSlots}}, "choose powers of two from 1 to 16384"},
		{"too much memory", target, BenchOptions{Sizes: []int{64, 3500}, Slots: []int{MaxBenchSlots}}, "for packets of 3500 bytes take 193 MiB of memory"},
		{"sizes without packets", none, BenchOptions{Sizes: []int{64}}, "take no packet"},
		{"packet without packets", none, BenchOptions{Packet: []byte{1}}, "take no packet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.target.benchDefaults(test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	opts, err := target.benchDefaults(BenchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(opts.Sizes) != 3 || len(opts.Slots) != 4 || opts.Runs != 5 || opts.Duration != 100*time.Millisecond || opts.Workers != 1 {
		t.Errorf("defaults are %+v", opts)
	}
}

func TestBenchCanBeInterrupted(t *testing.T) {
	needBatches(t)
	target := exampleTarget(t, "firewall")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := target.Bench(ctx, BenchOptions{}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v", err)
	}
}

func TestSpreads(t *testing.T) {
	samples := []sample{
		{execs: 10, cpu: 1000, wall: time.Second},
		{execs: 10, cpu: 3000, wall: 2 * time.Second},
		{execs: 10, cpu: 2000, wall: 4 * time.Second},
		{execs: 10, cpu: 5000, wall: time.Second},
	}
	call := &benchWay{row: BenchRow{Way: BenchCall, Size: 64, Workers: 1}, samples: samples}
	half := func(s sample) sample { return sample{execs: 2 * s.execs, cpu: s.cpu, wall: s.wall} }
	batch := &benchWay{row: BenchRow{Way: BenchBatch, Size: 64, Workers: 1}}
	both := &benchWay{row: BenchRow{Way: BenchBatch, Size: 64, Workers: 2}}
	for _, s := range samples {
		batch.samples, both.samples = append(batch.samples, half(s)), append(both.samples, half(half(s)))
	}
	b := &bencher{opts: BenchOptions{Sizes: []int{64}}, ways: []*benchWay{call, batch, both}, report: &BenchReport{}}
	b.summarize()
	rows := b.report.Rows
	if got, want := rows[0].CPU, (Spread{Median: 250, Min: 100, Max: 500}); got != want {
		t.Errorf("processor time %v, want %v", got, want)
	}
	if got, want := rows[1].Ratio, (Spread{Median: 2, Min: 2, Max: 2}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	if got, want := rows[2].Scale, (Spread{Median: 2, Min: 2, Max: 2}); got != want {
		t.Errorf("scale %v, want %v", got, want)
	}
	if rows[1].Scale != (Spread{}) || rows[2].Execs != 160 {
		t.Errorf("rows %+v", rows)
	}
}

func TestBestTakesTheLeastOfEachWay(t *testing.T) {
	call := &benchWay{row: BenchRow{Way: BenchCall, Size: 64, Workers: 1}}
	batch := &benchWay{row: BenchRow{Way: BenchBatch, Size: 64, Workers: 1}}
	call.samples = []sample{{execs: 10, cpu: 3000, wall: 1}, {execs: 10, cpu: 1000, wall: 1}}
	batch.samples = []sample{{execs: 10, cpu: 500, wall: 1}, {execs: 10, cpu: 2000, wall: 1}}
	b := &bencher{opts: BenchOptions{Sizes: []int{64}}, ways: []*benchWay{call, batch}, report: &BenchReport{}}
	b.summarize()
	if rows := b.report.Rows; rows[0].Best != 1 || rows[1].Best != 2 {
		t.Errorf("best %v and %v, want 1 and 2", rows[0].Best, rows[1].Best)
	}
}
