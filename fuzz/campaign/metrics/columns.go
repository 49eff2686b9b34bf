package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// column is a metric with one value for each target. Its name is the one that afl-fuzz
// has for the same number in its fuzzer_stats, where it has one; Prometheus wants the unit,
// or _total for what only grows, behind it, and no abbreviations.
type column struct {
	name, help string
	kind       prometheus.ValueType
	// value returns false where there is nothing to tell yet.
	value func(*campaign.Status, *campaign.TargetStatus) (float64, bool)
}

// columns returns what is told about each target.
func columns() []column {
	return []column{
		counter("execs_done_total", "Executions of the program by this process, those of triage included.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Execs) }),
		gauge("execs_per_second", "Executions per second of the last moments; 0 while the target waits for its turn.",
			func(t *campaign.TargetStatus) float64 { return t.Rate }),
		counter("run_time_seconds_total", "Time for which this process ran the target.",
			func(t *campaign.TargetStatus) float64 { return t.Stats.Elapsed.Seconds() }),
		gauge("corpus_entries", "Inputs that are kept; what afl-fuzz calls corpus_count, a name that histograms have here.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Corpus) }),
		counter("corpus_found_total", "Inputs of these that mutation found in this process, seeds left out.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Found) }),
		gauge("edges_found", "Edges of the control flow that some input passed.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Edges) }),
		gauge("total_edges", "Edges of the control flow that can be observed.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Total) }),
		{"bitmap_cvg_ratio", "Share of the observable edges that some input passed, 0 to 1.", prometheus.GaugeValue, covered},
		{"stability_ratio", "Share of the covered features that a second run of the same input covers again, 0 to 1.", prometheus.GaugeValue, stability},
		{"last_find_timestamp_seconds", "When the newest input was found that reached something new, in seconds since 1970.", prometheus.GaugeValue, lastFind},
		{"time_wo_finds_seconds", "Time that the target ran since the newest input was found.", prometheus.GaugeValue, withoutFinds},
		gauge("saved_findings", "Findings in the target's directory; what afl-fuzz calls saved_crashes and saved_hangs.",
			func(t *campaign.TargetStatus) float64 { return float64(len(t.Findings)) }),
		gauge("new_findings", "Findings of this process that nobody marked as known.", newFindings),
		{"last_finding_timestamp_seconds", "When the newest finding was first written, in seconds since 1970; what afl-fuzz calls last_crash.", prometheus.GaugeValue, lastFinding},
		counter("failing_execs_total", "Executions that an oracle objected to; what afl-fuzz calls total_crashes.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Failing) }),
		counter("unconfirmed_execs_total", "Failing executions that did not fail again from the initial state.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Unconfirmed) }),
		counter("comparisons_solved_total", "Comparisons that went the other way because the bytes that decide were known.",
			func(t *campaign.TargetStatus) float64 { return float64(t.Stats.Solved) }),
	}
}

func gauge(name, help string, value func(*campaign.TargetStatus) float64) column {
	return always(name, help, prometheus.GaugeValue, value)
}

func counter(name, help string, value func(*campaign.TargetStatus) float64) column {
	return always(name, help, prometheus.CounterValue, value)
}

func always(name, help string, kind prometheus.ValueType, value func(*campaign.TargetStatus) float64) column {
	return column{name, help, kind, func(_ *campaign.Status, t *campaign.TargetStatus) (float64, bool) { return value(t), true }}
}

func covered(_ *campaign.Status, t *campaign.TargetStatus) (float64, bool) {
	if t.Stats.Total == 0 {
		return 0, false
	}
	return float64(t.Stats.Edges) / float64(t.Stats.Total), true
}

// stability is known once something ran.
func stability(_ *campaign.Status, t *campaign.TargetStatus) (float64, bool) {
	return t.Stats.Stability, t.Stats.Execs > 0
}

func withoutFinds(_ *campaign.Status, t *campaign.TargetStatus) (float64, bool) {
	return t.Stats.Newest.Seconds(), t.Stats.Corpus > 0
}

// lastFind is exact while the target runs; later it is when the last new edge came.
func lastFind(s *campaign.Status, t *campaign.TargetStatus) (float64, bool) {
	switch {
	case t.State == campaign.Running && t.Stats.Corpus > 0:
		return unix(s.Now.Add(-t.Stats.Newest)), true
	case len(t.Gains) > 0:
		return unix(t.Gains[0].At), true
	}
	return 0, false
}

func newFindings(t *campaign.TargetStatus) float64 {
	n := 0
	for i := range t.Findings {
		if f := &t.Findings[i]; f.New && !f.Known {
			n++
		}
	}
	return float64(n)
}

func lastFinding(_ *campaign.Status, t *campaign.TargetStatus) (float64, bool) {
	if len(t.Findings) == 0 || t.Findings[0].At.IsZero() {
		return 0, false
	}
	return unix(t.Findings[0].At), true
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
