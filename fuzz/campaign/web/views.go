package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// layout is what all pages have around them.
type layout struct {
	Title   string
	Nav     string           // the entry of the navigation that this is
	ID      string           // where in the stream of events
	Status  *campaign.Status // nil where Plain
	Elapsed time.Duration
	Version string
	// Plain leaves out all that tells something of the campaign.
	Plain bool
	Body  any
}

// overviewView is the first page.
type overviewView struct {
	Total   totals
	Targets []targetRow
	// Findings are the newest of all targets.
	Findings []findingRow
	Notices  []campaign.Notice
	Now      time.Time
	Peers    []campaign.Peer
}

// rowsOf are the findings of one target.
func rowsOf(t *campaign.TargetStatus) []findingRow {
	rows := make([]findingRow, len(t.Findings))
	for i := range rows {
		rows[i] = findingRow{t.Name, &t.Findings[i]}
	}
	return rows
}

// totals are sums over the targets.
type totals struct {
	Targets, Running, Failed int
	Execs                    uint64
	Rate                     float64
	Edges, Observable        int
	Corpus                   int
	Fresh, Findings          int
}

// targetRow is a target in a table.
type targetRow struct {
	*campaign.TargetStatus
	Fresh, Known int
	Spark        string // points of a line in a box of sparkWidth by sparkHeight
}

// findingRow is a finding in a table.
type findingRow struct {
	Target string
	*campaign.FindingStatus
}

// mostFindings is how many findings the first page lists.
const mostFindings = 12

func newOverview(s *campaign.Status) *overviewView {
	v := &overviewView{Now: s.Now, Peers: s.Peers, Notices: s.Notices[:min(len(s.Notices), 8)]}
	v.Total.Targets = len(s.Targets)
	for i := range s.Targets {
		t := &s.Targets[i]
		row := targetRow{TargetStatus: t, Spark: spark(t.Points)}
		row.Fresh, row.Known = countFindings(t)
		v.Targets = append(v.Targets, row)
		v.Total.add(t, row.Fresh)
		for j := range t.Findings {
			v.Findings = append(v.Findings, findingRow{t.Name, &t.Findings[j]})
		}
	}
	v.Findings = newest(v.Findings, mostFindings)
	return v
}

func (sum *totals) add(t *campaign.TargetStatus, fresh int) {
	switch t.State {
	case campaign.Running:
		sum.Running++
	case campaign.Failed:
		sum.Failed++
	case campaign.Waiting, campaign.Ended:
	}
	sum.Execs += t.Stats.Execs
	sum.Rate += t.Rate
	sum.Edges += t.Stats.Edges
	sum.Observable += t.Stats.Total
	sum.Corpus += t.Stats.Corpus
	sum.Fresh += fresh
	sum.Findings += len(t.Findings)
}

// countFindings counts those of this process that nobody marked as known, and those that
// somebody did.
func countFindings(t *campaign.TargetStatus) (fresh, known int) {
	for i := range t.Findings {
		switch f := &t.Findings[i]; {
		case f.Known:
			known++
		case f.New:
			fresh++
		}
	}
	return fresh, known
}

// The box that a sparkline is drawn in.
const (
	sparkWidth  = 120.0
	sparkHeight = 24.0
)

// spark draws a target's edges over time as the points of a polyline.
func spark(points []campaign.Point) string {
	if len(points) < 2 {
		return ""
	}
	first, last := points[0], points[len(points)-1]
	low, high, length := first.Edges, last.Edges, (last.At - first.At).Seconds()
	for _, p := range points {
		low, high = min(low, p.Edges), max(high, p.Edges)
	}
	var s strings.Builder
	step := max(1, len(points)/60)
	for i := 0; i < len(points); i += step {
		if i+step >= len(points) {
			i = len(points) - 1
		}
		p := points[i]
		x, y := 0.0, sparkHeight/2
		if length > 0 {
			x = (p.At - first.At).Seconds() / length * sparkWidth
		}
		if high > low {
			y = sparkHeight - 2 - float64(p.Edges-low)/float64(high-low)*(sparkHeight-4)
		}
		fmt.Fprintf(&s, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSpace(s.String())
}
