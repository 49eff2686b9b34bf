package fuzz

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
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

// puzzle is a toy with one comparison behind which the goal is.
func puzzle(site cover.Comparison, operands func(packet []byte) (a, b uint64)) *toy {
	return newToy(3, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		if a, b := operands(packet); r.compare(0, a, b) {
			return 77
		}
		return 2
	}).comparing(site)
}

func crc16(bytes []byte) uint64 {
	crc := uint16(0xffff)
	for _, b := range bytes {
		crc ^= uint16(b) << 8
		for range 8 {
			crc = crc<<1 ^ crc>>15*0x1021
		}
	}
	return uint64(crc)
}

// onesSum is the sum of words in ones' complement.
func onesSum(bytes []byte) uint64 {
	sum := uint64(0)
	for i := 0; i+1 < len(bytes); i += 2 {
		sum += uint64(binary.NativeEndian.Uint16(bytes[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// TestComputedOperandsAreSolved has puzzles that nothing is known of but operands.
func TestComputedOperandsAreSolved(t *testing.T) {
	equal := cover.Comparison{Relation: cover.Equal}
	for name, test := range map[string]struct {
		site     cover.Comparison
		operands func(p []byte) (a, b uint64)
		execs    uint64
	}{
		"bytes at an offset of the packet's": {equal, func(p []byte) (uint64, uint64) {
			at := 14 + int(p[13]&15)%8
			if len(p) < at+8 {
				return 1, 0
			}
			return uint64(binary.BigEndian.Uint32(p[at:])), 0x1badb002
		}, 5000},
		"eight bytes, nothing known": {equal, func(p []byte) (uint64, uint64) {
			return binary.NativeEndian.Uint64(p[4:]), 0xfeedfacecafebeef
		}, 5000},
		"a sum": {equal, func(p []byte) (uint64, uint64) {
			return onesSum(p[:14]), 0xbeef
		}, 5000},
		"a CRC": {equal, func(p []byte) (uint64, uint64) {
			return crc16(p[:12]), 0xbeef
		}, 5000},
		"a CRC of 32 bytes and its field": {equal, func(p []byte) (uint64, uint64) {
			if len(p) < 34 {
				return 1, 0
			}
			return crc16(p[:32]), uint64(binary.BigEndian.Uint16(p[32:]))
		}, 5000},
		"a product of bytes": {equal, func(p []byte) (uint64, uint64) {
			hash := uint32(0x811c9dc5)
			for _, b := range p[2:8] {
				hash = (hash ^ uint32(b)) * 0x01000193
			}
			return uint64(hash >> 16), 0xbeef
		}, 400_000},
		"the size of a sum": {cover.Comparison{Relation: cover.Greater, Constant: true}, func(p []byte) (uint64, uint64) {
			sum := uint64(0)
			for _, b := range p[:14] {
				sum += uint64(b)
			}
			return sum, 3500
		}, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				result := runToy(t, puzzle(test.site, test.operands), Options{Seed: seed, Execs: test.execs, StopOnFinding: true})
				if len(result.Findings) != 1 {
					t.Fatalf("seed %d: no finding after %d executions", seed, result.Stats.Execs)
				}
				t.Logf("seed %d: %d executions", seed, result.Stats.Execs)
			}
		})
	}
}

func TestSolvingIsRepeatable(t *testing.T) {
	once := func() (inputs []string, stats Stats) {
		result := runToy(t, chain(false), Options{Seed: 3, Execs: 30_000})
		for _, e := range result.Entries {
			inputs = append(inputs, string(corpus.Encode(e.Input)))
		}
		return inputs, result.Stats
	}
	a, statsA := once()
	b, statsB := once()
	if !slices.Equal(a, b) || statsA.Execs != statsB.Execs || statsA.Solved != statsB.Solved {
		t.Errorf("two runs with one seed differ: %d and %d entries, %d and %d executions", len(a), len(b), statsA.Execs, statsB.Execs)
	}
	if statsA.Solved < 8 {
		t.Errorf("%d comparisons solved of which nothing but the operands is known, want at least 8", statsA.Solved)
	}
}

// TestManyComparisonsDoNotStall has a thousand sites that nobody can solve.
func TestManyComparisonsDoNotStall(t *testing.T) {
	const many = 1000
	sites := make([]cover.Comparison, many)
	for i := range sites {
		sites[i] = cover.Comparison{Relation: cover.Equal, A: packetInt(i%14, 1, cover.Transform{Action: cover.Or, Value: 1})}
	}
	target := newToy(2*many+1, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		for i := range many {
			r.compare(i, uint64(packet[i%14]|1), 2)
		}
		return 2
	}).comparing(sites...)
	result := runToy(t, target, Options{Seed: 1, Execs: 20_000})
	if result.Stats.Edges != many+1 {
		t.Errorf("%d edges", result.Stats.Edges)
	}
	if most := 12_000; target.calls > most {
		t.Errorf("%d inputs were run to see what they compare, at most %d are worth it", target.calls, most)
	}
}

// TestKeysAreCopied has a program that asks a map for eight bytes of the packet, the
// last four in another order.
func TestKeysAreCopied(t *testing.T) {
	target := newToy(3, nil).comparing(cover.Comparison{Relation: cover.Equal})
	target.shape.Maps = []corpus.MapShape{{Name: "flows", Kind: "hash", KeySize: 8, Keys: [][]byte{{1, 2, 3, 4, 5, 6, 7, 8}, {0xde, 0xad, 0xbe, 0xef, 0, 0, 0x1b, 0xad}}}}
	target.prog = func(r *toyRun, p []byte) uint32 {
		r.hit(0)
		r.compare(0, 1, 1)
		if r.lookup(&target.shape.Maps[0], []byte{p[2], p[3], p[4], p[5], p[9], p[8], p[7], p[6]}) {
			return 77
		}
		return 2
	}
	result := runToy(t, target, Options{Seed: 1, Execs: 5000, StopOnFinding: true})
	if len(result.Findings) != 1 {
		t.Errorf("no finding after %d executions", result.Stats.Execs)
	}
}

// TestOwnChecksumsAreMended has a comparison of a byte behind one of a CRC over it.
func TestOwnChecksumsAreMended(t *testing.T) {
	sites := []cover.Comparison{
		{Relation: cover.Equal, B: packetInt(12, 2, cover.Transform{Action: cover.Swap, Value: 2})},
		{Relation: cover.Equal, Constant: true, A: packetInt(3, 1)},
		{Relation: cover.Equal, Constant: true, A: packetInt(8, 4)},
	}
	target := newToy(7, func(r *toyRun, p []byte) uint32 {
		r.hit(0)
		if r.compare(0, crc16(p[:12]), uint64(binary.BigEndian.Uint16(p[12:]))) && r.compare(1, uint64(p[3]), 0x77) &&
			r.compare(2, uint64(binary.NativeEndian.Uint32(p[8:])), 0x1badb002) {
			return 77
		}
		return 2
	}).comparing(sites...)
	if result := runToy(t, target, Options{Seed: 1, Execs: 5000, StopOnFinding: true}); len(result.Findings) != 1 {
		t.Errorf("no finding after %d executions, %d edges", result.Stats.Execs, result.Stats.Edges)
	}
}
