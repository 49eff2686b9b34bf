package main

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/triage/report"
)

func TestJudged(t *testing.T) {
	const runs = 10
	for _, test := range []struct {
		name     string
		opinions []opinion
		want     report.State
		text     string
	}{
		{"fails in each run", []opinion{{"verdict", 10, "x"}, {"errno", 0, ""}}, report.Failing, "still failing"},
		{"fails in some", []opinion{{"verdict", 3, "x"}, {"errno", 10, "y"}}, report.Flaky, "flaky: 3 of 10"},
		{"fails in none", []opinion{{"errno", 0, ""}, {"verdict", 0, ""}}, report.Fixed, "fixed"},
		{"another oracle objects", []opinion{{"errno", 1, "y"}, {"verdict", 0, ""}}, report.Changed, "changed"},
		{"its oracle is off", []opinion{{"errno", 10, "y"}}, report.Unchecked, "unchecked"},
		{"no oracle at all", nil, report.Unchecked, "unchecked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &report.Status{Kind: "verdict", State: report.Open, Runs: runs}
			judged(s, test.opinions)
			if s.State != test.want || s.Text() != test.text {
				t.Errorf("state %q, shown as %q", s.State, s.Text())
			}
			if s.Counts() != (test.want != report.Fixed) {
				t.Errorf("counts: %v", s.Counts())
			}
		})
	}
}
