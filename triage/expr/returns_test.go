package expr

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Invariants about return values need not be asked about each execution.
func TestReturns(t *testing.T) {
	for _, test := range []struct {
		text   string
		simple bool
	}{
		{"ret in [1, 2]", true},
		{`verdict != "XDP_ABORTED"`, true},
		{`ret < 3 and verdict != "XDP_DROP"`, true},
		{"errno == 0", false},
		{"steps[0].ret == 2", false},
		{"ret == 2 or nsteps == 1", false},
		{"ret == 2 or in.len > 20", false},
		{"ret == 2 or out.len > 20", false},
	} {
		t.Run(test.text, func(t *testing.T) {
			o := mustCompile(t, "", test.text, xdpShape())
			if (o.Returns != nil) != test.simple {
				t.Fatalf("simple is %v", !test.simple)
			}
			for ret := uint32(0); test.simple && ret < 6; ret++ {
				in, out := ran(ret, tcpPacket(22), tcpPacket(22))
				if fine := o.Judge(in, out) == nil; o.Returns(ret) != fine {
					t.Errorf("return value %d is fine %v", ret, fine)
				}
				out.Steps[0].Errno = 22
				if o.Judge(in, &corpus.Outcome{Have: corpus.HaveRet}) != nil {
					t.Error("objects to what did not run")
				}
			}
		})
	}
}
