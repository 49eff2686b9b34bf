package report

import (
	"fmt"
	"time"
)

// SetFixed returns a finding's report.json with what it was seen to be at a moment:
// fixed, or failing. One that fails after it was fixed is regressed from then on, until
// it is fixed again. What is known already stays as it is, and changed is false then.
func SetFixed(b []byte, fixed bool, now time.Time) (report []byte, changed bool, err error) {
	d, err := parse(b)
	if err != nil {
		return nil, false, fmt.Errorf("noting what became of a finding: %w", err)
	}
	at := now.UTC().Format(time.RFC3339)
	switch {
	case fixed && d.Fixed == "":
		d.Fixed, d.Regressed = at, ""
	case fixed && d.Regressed != "":
		d.Fixed, d.Regressed = at, ""
	case !fixed && d.Fixed != "" && d.Regressed == "":
		d.Regressed = at
	default:
		return b, false, nil
	}
	report, err = d.marshal()
	return report, true, err
}
