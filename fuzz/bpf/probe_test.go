package bpf

import (
	"errors"
	"testing"
)

// TestProbe needs no privileges: without them the answers are unknown.
func TestProbe(t *testing.T) {
	found := Probe()
	if len(found.Types) < 30 {
		t.Errorf("%d program types", len(found.Types))
	}
	for _, f := range found.Features {
		if f.For == "" || f.Without == "" {
			t.Errorf("%s: nobody says what it is for", f.Name)
		}
	}
	names := map[string]bool{}
	for _, f := range found.Features {
		names[f.Name] = true
	}
	for name := range featureUses() {
		if !names[name] {
			t.Errorf("%s is not probed", name)
		}
	}
}

// TestProbeUnprivileged shows that nobody takes a lack of privileges for a no.
func TestProbeUnprivileged(t *testing.T) {
	found := Probe()
	for _, c := range found.Capabilities {
		if c.Have && (c.Name == "CAP_BPF" || c.Name == "CAP_SYS_ADMIN") {
			t.Skipf("this process has %s", c.Name)
		}
	}
	for _, p := range found.Types {
		if p.Type == "xdp" && (!errors.Is(p.Load, ErrUnknown) || !errors.Is(p.Err, ErrUnknown)) {
			t.Errorf("%s: loads: %v, runs: %v", p.Type, p.Load, p.Err)
		}
	}
}
