package bpf

import "github.com/bpffuzz/bpffuzz/corpus"

// watched lists what is planted for oracles that watch a run.
func watched() []planted {
	const object = "testdata/oracles_watch.o"
	real := Options{Setup: Setup{RealHelpers: true}}
	return []planted{
		{oracle: "errno", program: "complete", object: object, flags: corpus.ChecksumComplete},
		{oracle: "verdict", program: "verdict", object: object},
		{oracle: "aborted", program: "aborted", object: object},
		{oracle: "checksum-broken", program: "checksum", object: object},
		{oracle: "checksum-complete", program: "complete", object: object},
		{oracle: "nondeterministic", program: "chance", object: object, options: real},
	}
}
