package mutate

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Faults are chosen where there are calls that can fail, and only there; they go away again.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sites int
	}{{"no calls", 0}, {"one call", 1}, {"many calls", 50}} {
		t.Run(tt.name, func(t *testing.T) {
			shape := testShapes()["tc"]
			shape.Faults = make([]corpus.FaultSite, tt.sites)
			m, dst := New(shape, Options{Seed: 1}), slots(shape)
			src := onePacket(newStack("", packet.Ethernet, packet.IPv4, packet.TCP).bytes[:64])
			set, lost, largest := 0, 0, uint32(0)
			for i := range 4000 {
				src.Steps[0].Fault = uint32(min(i&1, tt.sites))
				m.Mutate(dst, src, src)
				fault := dst.Steps[0].Fault
				largest = max(largest, fault)
				if fault > 0 && i&1 == 0 {
					set++
				}
				if fault == 0 && i&1 == 1 {
					lost++
				}
			}
			if some := tt.sites > 0; (set > 0) != some || tt.sites > 0 && lost == 0 || largest > uint32(2*tt.sites) {
				t.Errorf("%d calls: chosen %d times, up to %d, dropped %d times", tt.sites, set, largest, lost)
			}
		})
	}
}
