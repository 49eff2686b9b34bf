package kernel

import "testing"

func TestMeasureXDPRoom(t *testing.T) {
	privileged(t)
	r, err := MeasureXDPRoom()
	if err != nil {
		t.Fatal(err)
	}
	// XDP_PACKET_HEADROOM without struct xdp_frame, whose size moves.
	if r.Head < 128 || r.Head > 256 {
		t.Errorf("%d bytes of headroom", r.Head)
	}
	t.Logf("%+v", r)
}
