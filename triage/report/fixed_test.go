package report

import (
	"testing"
	"time"
)

// A finding is fixed, regressed and fixed again; what is known already changes nothing.
func TestSetFixed(t *testing.T) {
	b, err := (&document{Version: jsonVersion, Key: "k", Kind: "verdict"}).marshal()
	if err != nil {
		t.Fatal(err)
	}
	at := func(hour int) time.Time { return time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC) }
	for i, step := range []struct {
		fixed, changed bool
		state          State
		text           string
	}{
		{false, false, Open, "open"},
		{true, true, Fixed, "fixed 2026-01-02T01:00:00Z"},
		{true, false, Fixed, "fixed 2026-01-02T01:00:00Z"},
		{false, true, Regressed, "regressed: fixed 2026-01-02T01:00:00Z"},
		{false, false, Regressed, "regressed: fixed 2026-01-02T01:00:00Z"},
		{true, true, Fixed, "fixed 2026-01-02T05:00:00Z"},
	} {
		var changed bool
		if b, changed, err = SetFixed(b, step.fixed, at(i)); err != nil {
			t.Fatal(err)
		}
		s, err := ReadStatus(b)
		if err != nil {
			t.Fatal(err)
		}
		if changed != step.changed || s.State != step.state || s.Text() != step.text {
			t.Errorf("step %d: changed is %v, state %q, text %q; want %v, %q, %q", i, changed, s.State, s.Text(), step.changed, step.state, step.text)
		}
		if counts := s.Counts(); counts != (step.state != Fixed) {
			t.Errorf("step %d: counts is %v", i, counts)
		}
	}
	if _, _, err := SetFixed([]byte("{"), true, at(0)); err == nil {
		t.Error("a damaged report gives no error")
	}
}
