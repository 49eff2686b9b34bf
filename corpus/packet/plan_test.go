package packet_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// TestPlan changes bytes that the layout survives and compares both ways of
// fixing checksums.
func TestPlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range stacks(t) {
		t.Run(s.name, func(t *testing.T) {
			var l packet.Layout
			var p packet.Plan
			l.Parse(s.bytes, packet.Ethernet)
			if ok := p.Prepare(&l, s.bytes); ok == (l.Index(packet.Routing, 0) >= 0) {
				t.Fatalf("%s: plan %v", names(&l), ok)
			} else if !ok {
				return
			}
			for range 300 {
				a := slices.Clone(s.bytes)
				for range 1 + r.IntN(4) {
					at, n := r.IntN(len(a)-1), 1+r.IntN(2)
					if l.Survives(at, n) {
						copy(a[at:], []byte{byte(r.Uint32()), byte(r.Uint32())}[:n])
					}
				}
				if r.IntN(4) == 0 {
					zeroUDPSums(&l, a)
				}
				b := slices.Clone(a)
				l.FixLengths(a)
				p.FixChecksums(&l, a)
				l.FixLengths(b)
				l.FixChecksums(b)
				if !bytes.Equal(a, b) {
					t.Fatalf("%s: planned\n%x, want\n%x", names(&l), a, b)
				}
			}
		})
	}
}

func zeroUDPSums(l *packet.Layout, b []byte) {
	for _, h := range l.Headers[:l.N] {
		if h.Layer == packet.UDP {
			b[h.Off+6], b[h.Off+7] = 0, 0
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	p := stacks(b)[2].bytes
	var l packet.Layout
	var plan packet.Plan
	l.Parse(p, packet.Ethernet)
	plan.Prepare(&l, p)
	for b.Loop() {
		l.FixLengths(p)
		plan.FixChecksums(&l, p)
	}
}
