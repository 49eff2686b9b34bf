package packet_test

import (
	"bytes"
	"fmt"
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
			spoilHeaderLengths(&l, s.bytes)
			fixed := slices.Clone(s.bytes)
			l.FixLengths(fixed)
			if ok := p.Prepare(&l, fixed); ok == (l.Index(packet.Routing, 0) >= 0) {
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
				p.FixLengths(a)
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

// spoilHeaderLengths makes the header lengths of b too small, which the first
// fixing of lengths puts right, and parses it.
func spoilHeaderLengths(l *packet.Layout, b []byte) {
	l.Parse(b, packet.Ethernet)
	for _, h := range l.Headers[:l.N] {
		switch {
		case h.Layer == packet.IPv4 && h.Len == 20:
			b[h.Off] = 0x43
		case h.Layer == packet.TCP && h.Len == 20:
			b[h.Off+12] = 0x20
		}
	}
	l.Parse(b, packet.Ethernet)
}

func zeroUDPSums(l *packet.Layout, b []byte) {
	for _, h := range l.Headers[:l.N] {
		if h.Layer == packet.UDP {
			b[h.Off+6], b[h.Off+7] = 0, 0
		}
	}
}

// BenchmarkPlan compares what is found out anew with what a plan knows.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []int{64, 1500} {
		p := slices.Concat(stacks(b)[2].bytes, make([]byte, 1500))[:size]
		var l packet.Layout
		var plan packet.Plan
		l.Parse(p, packet.Ethernet)
		l.FixLengths(p)
		plan.Prepare(&l, p)
		b.Run(fmt.Sprintf("anew/%d", size), func(b *testing.B) {
			for b.Loop() {
				l.FixLengths(p)
				l.FixChecksums(p)
			}
		})
		b.Run(fmt.Sprintf("planned/%d", size), func(b *testing.B) {
			for b.Loop() {
				plan.FixLengths(p)
				plan.FixChecksums(&l, p)
			}
		})
	}
}
