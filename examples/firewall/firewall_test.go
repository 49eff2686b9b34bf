package firewall_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
)

func FuzzFirewall(f *testing.F) {
	fuzztest.Run(f, fuzztest.Target{TargetFile: "target.yaml"},
		func(t *fuzztest.T, in *corpus.Input, out *corpus.Outcome) {
			p := in.Steps[0].Packet
			if t.Verdict(0) != "XDP_PASS" || len(p) < 34 || binary.BigEndian.Uint16(p[12:]) != 0x0800 || p[23] != 6 {
				return
			}
			tcp := 14 + 4*int(p[14]&15)
			if len(p) < tcp+4 {
				return
			}
			if port := binary.BigEndian.Uint16(p[tcp+2:]); !slices.Contains([]uint16{22, 80, 443}, port) {
				t.Errorf("passed a packet to TCP port %d", port)
			}
		})
}
