package fuzz

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// manySeeds are enough for all workers. Each has a number.
func manySeeds() []*corpus.Input {
	all := make([]*corpus.Input, shareSeeds+seedBlock/2)
	for i := range all {
		all[i] = &corpus.Input{Steps: []corpus.Step{{Packet: binary.BigEndian.AppendUint32(make([]byte, 14, 18), uint32(i))}}}
	}
	return all
}

// seedCounter is a target that counts how often each seed runs before others do.
func seedCounter(counts []atomic.Int32) *toy {
	return newToy(1, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if len(packet) == 18 {
			if n := binary.BigEndian.Uint32(packet[14:]); int(n) < len(counts) {
				counts[n].Add(1)
			}
		}
		return 2
	})
}

func TestEveryWorkerTriesSeeds(t *testing.T) {
	seeds := manySeeds()
	counts := make([]atomic.Int32, len(seeds))
	_, err := Run(t.Context(), seedCounter(counts), Options{Workers: 4, Seeds: seeds, Execs: uint64(len(seeds)) * 3})
	if err != nil {
		t.Fatal(err)
	}
	for i := range counts {
		if counts[i].Load() == 0 {
			t.Fatalf("seed %d of %d was not tried", i, len(seeds))
		}
	}
}

// TestSeedsEnd has a run end while all workers try seeds.
func TestSeedsEnd(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		err  error
		want error
	}{
		{"by an interruption", nil, nil},
		{"by an error", broken, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var runs atomic.Int64
			target := &failing{toy: newToy(1, func(r *toyRun, _ []byte) uint32 {
				if test.err == nil && runs.Add(1) == shareSeeds/2 {
					stop()
				}
				return 2
			}), after: shareSeeds / 2, runs: new(atomic.Int64), err: test.err}
			if test.err == nil {
				target.after = 1 << 40
			}
			if _, err := Run(ctx, target, Options{Workers: 4, Seeds: manySeeds()}); !errors.Is(err, test.want) {
				t.Errorf("Run = %v, want %v", err, test.want)
			}
		})
	}
}
