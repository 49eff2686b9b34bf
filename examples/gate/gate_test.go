package gate_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/fuzztest"
)

const (
	tcp    = 6
	inet6  = 10
	skPass = 1
)

// FuzzGate looks for addresses from outside that reach a management port. It says once
// more, in Go, who may: that is how a Go invariant is most useful.
func FuzzGate(f *testing.F) {
	own := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	fuzztest.Run(f, fuzztest.Target{TargetFile: "target.yaml"}, func(t *fuzztest.T, _ *corpus.Input, out *corpus.Outcome) {
		port := t.Field(0, "local_port")
		if out.Steps[0].Ret != skPass || t.Field(0, "protocol") != tcp || port != 22 && port != 6443 {
			return
		}
		from := remote(t)
		for _, prefix := range own {
			if prefix.Contains(from.Unmap()) {
				return
			}
		}
		t.Errorf("%s reaches port %d", from, port)
	})
}

// remote returns the address that the connection comes from.
func remote(t *fuzztest.T) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], uint32(t.Field(0, "remote_ip4")))
	if t.Field(0, "family") != inet6 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	for i, name := range [...]string{"remote_ip6[0]", "remote_ip6[1]", "remote_ip6[2]", "remote_ip6[3]"} {
		binary.BigEndian.PutUint32(b[4*i:], uint32(t.Field(0, name)))
	}
	return netip.AddrFrom16(b)
}
