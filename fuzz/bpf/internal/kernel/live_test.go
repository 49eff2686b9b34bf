package kernel

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestLiveLimits(t *testing.T) {
	privileged(t)
	var l LiveLimits
	if err := Isolated(0, func() (err error) { l, err = MeasureLive(); return err }); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", l)
	if page := unix.Getpagesize(); l.Min != 14 || l.Max <= 1514 || l.Max >= page {
		t.Errorf("packets of %d to %d bytes, want 14 to something between an Ethernet frame and a page of %d", l.Min, l.Max, page)
	}
	if l.Meta < 32 || l.Meta%4 != 0 {
		t.Errorf("%d bytes of metadata", l.Meta)
	}
	if l.Batch < 64 || l.Batch > maxLiveBatch {
		t.Errorf("batches of up to %d, the kernel's own size is 64", l.Batch)
	}
}
