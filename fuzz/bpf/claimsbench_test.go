package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// BenchmarkClaims compares, for packets of 64 bytes, what an execution in a batch that is
// judged costs without and with checks of the verifier's claims.
func BenchmarkClaims(b *testing.B) {
	needBatches(b)
	step := &corpus.Step{Packet: typical()}
	for _, name := range exampleNames() {
		for _, way := range []struct {
			name  string
			check bool
		}{{"unchecked", false}, {"checked", true}} {
			target := exampleTargetWith(b, name, Options{CheckVerifier: way.check}).bounded(64, 0)
			b.Run(name+"/"+way.name, func(b *testing.B) { benchWork(b, target.workBatch(step, newJudge(b, target))) })
		}
	}
}
