package fuzz

import (
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// packetInt is an operand of size bytes at an offset of the packet.
func packetInt(offset, size int, transforms ...cover.Transform) cover.Operand {
	return cover.Operand{Source: cover.PacketBytes, Offset: offset, Size: size, Transforms: transforms}
}

// chain is a program with nine comparisons, each behind the one before.
func chain(known bool) *toy {
	magic := [9]uint64{0x1badb002, 0xdeadbeef, 0xcafe, 0x5a, 0xfeedfacecafebeef, 0x77, 0x1234, 0x0badf00d, 0xa5a5}
	sizes := [9]int{4, 4, 2, 1, 8, 1, 2, 4, 2}
	sites := make([]cover.Comparison, len(magic)+1)
	offsets := [len(magic)]int{}
	at := 20
	for i, size := range sizes {
		offsets[i] = at
		at += size
		sites[i] = cover.Comparison{Relation: cover.Equal, Constant: true}
		if known {
			sites[i].A = packetInt(offsets[i], size)
		}
	}
	sites[len(magic)] = cover.Comparison{Relation: cover.Greater, Length: true}
	return newToy(2*len(sites)+1, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if r.compare(len(magic), uint64(at), uint64(len(packet))) {
			return 2
		}
		for i, want := range magic {
			var b [8]byte
			copy(b[:], packet[offsets[i]:offsets[i]+sizes[i]])
			if !r.compare(i, binary.NativeEndian.Uint64(b[:]), want) {
				return 2
			}
		}
		return 77
	}).comparing(sites...)
}

func TestChainOfNineIsSolved(t *testing.T) {
	for seed := range uint64(5) {
		result := runToy(t, chain(true), Options{Seed: seed, Execs: 1000, StopOnFinding: true})
		if len(result.Findings) != 1 {
			t.Fatalf("seed %d: %d findings after %d executions, %d edges, want 1", seed, len(result.Findings), result.Stats.Execs, result.Stats.Edges)
		}
		t.Logf("seed %d: %d executions", seed, result.Stats.Execs)
		if result.Stats.Solved < 9 {
			t.Errorf("%d comparisons solved, want at least 9", result.Stats.Solved)
		}
	}
}
