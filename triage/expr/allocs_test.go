//go:build !race

package expr

import "testing"

// The race detector makes pools forget at random, so this is not for it.
func TestAllocations(t *testing.T) {
	in, out := ran(2, tcpPacket(22), tcpPacket(22))
	for name, text := range cheap() {
		o := mustCompile(t, name, text, xdpShape())
		if err := o.Judge(in, out); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(200, func() { _ = o.Judge(in, out) }); n != 0 {
			t.Errorf("%s allocates %v times", text, n)
		}
	}
}
