package egress_test

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
)

// What the mark of a packet says.
const (
	policed    = 0x10000
	origin     = 0xf00
	originHost = 0xc00
)

// FuzzEgress looks for packets that are accepted and not policed, though they are not
// the host's own. The context after the run is recorded since it is read.
func FuzzEgress(f *testing.F) {
	fuzztest.Run(f, fuzztest.Target{TargetFile: "target.yaml"}, func(t *fuzztest.T, _ *corpus.Input, _ *corpus.Outcome) {
		if t.Verdict(0) != "TC_ACT_OK" {
			return
		}
		if mark := t.Field(0, "mark"); mark&policed == 0 && mark&origin != originHost {
			t.Errorf("accepted with mark %#x: not policed", mark)
		}
	})
}
