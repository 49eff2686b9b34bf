package bpf

import "github.com/bpffuzz/bpffuzz/triage"

// greedy are the programs of the oracles about what a run uses up.
func greedy() []planted {
	return []planted{
		{oracle: triage.Slow, program: "slow", object: "testdata/oracles_slow.o", insns: 1000, execs: 1_000_000},
		{oracle: triage.MapFull, program: "full", object: "testdata/oracles_maps.o", execs: 5_000_000},
		{oracle: triage.MapLeak, program: "leak", object: "testdata/oracles_maps.o"},
	}
}
