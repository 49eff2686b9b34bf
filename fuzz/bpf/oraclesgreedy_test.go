package bpf

import "github.com/bpffuzz/bpffuzz/triage"

// greedy are the programs of the oracles about what a run uses up.
func greedy() []planted {
	const object = "testdata/oracles_slow.o"
	return []planted{
		{oracle: triage.Slow, program: "slow", object: object, insns: 1000, execs: 1_000_000},
	}
}
