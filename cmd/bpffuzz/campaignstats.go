package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// campaignStats is what stats.json of a campaign has: how it stands over all targets, with
// the names and units of a run's stats.json.
type campaignStats struct {
	Version   string           `json:"version"`
	StartTime int64            `json:"start_time"`
	LastTime  int64            `json:"last_update"`
	RunTime   int64            `json:"run_time"`
	PID       int              `json:"fuzzer_pid"`
	PeakRSS   int64            `json:"peak_rss_mb"`
	Mode      string           `json:"mode"`
	Workers   int              `json:"workers"`
	Execs     uint64           `json:"execs_done"`
	Rate      float64          `json:"execs_per_sec"`
	Edges     int              `json:"edges_found"`
	Total     int              `json:"total_edges"`
	Covered   string           `json:"bitmap_cvg"`
	Corpus    int              `json:"corpus_count"`
	Found     int              `json:"corpus_found"`
	Saved     int              `json:"saved_findings"`
	New       int              `json:"new_findings"`
	Running   int              `json:"targets_running"`
	Failed    int              `json:"targets_failed"`
	Targets   []targetStanding `json:"targets"`
}

// targetStanding is a target in a campaignStats.
type targetStanding struct {
	Name    string `json:"name"`
	State   string `json:"state"` // waiting, running, ended or failed
	Problem string `json:"problem,omitempty"`
	Execs   uint64 `json:"execs_done"`
	Edges   int    `json:"edges_found"`
	Total   int    `json:"total_edges"`
	Corpus  int    `json:"corpus_count"`
	Newest  int64  `json:"time_wo_finds"`
	Saved   int    `json:"saved_findings"`
}

func newCampaignStats(s *campaign.Status, now time.Time) *campaignStats {
	c := &campaignStats{
		Version: version(), StartTime: s.Started.Unix(), LastTime: now.Unix(), RunTime: int64(now.Sub(s.Started).Seconds()),
		PID: os.Getpid(), PeakRSS: peakRSS(), Mode: s.Mode, Workers: s.Workers, Targets: []targetStanding{},
	}
	for i := range s.Targets {
		t := &s.Targets[i]
		one := targetStanding{
			Name: t.Name, State: string(t.State), Problem: t.Problem, Execs: t.Stats.Execs, Edges: t.Stats.Edges, Total: t.Stats.Total,
			Corpus: t.Stats.Corpus, Newest: int64(t.Stats.Newest.Seconds()), Saved: len(t.Findings),
		}
		switch t.State {
		case campaign.Waiting:
			one.State = "waiting"
		case campaign.Running:
			c.Running++
		case campaign.Failed:
			c.Failed++
		}
		c.Targets = append(c.Targets, one)
		c.Execs, c.Rate, c.Edges, c.Total = c.Execs+one.Execs, c.Rate+t.Rate, c.Edges+one.Edges, c.Total+one.Total
		c.Corpus, c.Found, c.Saved = c.Corpus+one.Corpus, c.Found+t.Stats.Found, c.Saved+one.Saved
		for j := range t.Findings {
			if f := &t.Findings[j]; f.New && !f.Known {
				c.New++
			}
		}
	}
	c.Covered = percent(c.Edges, c.Total)
	return c
}

// write replaces stats.json in dir, and adds a line to plot.csv.
func (c *campaignStats) write(dir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	plot := filepath.Join(dir, "plot.csv")
	line := fmt.Sprintf("%d,%d,%d,%.2f,%d,%d,%d,%d\n", c.LastTime, c.RunTime, c.Execs, c.Rate, c.Edges, c.Total, c.Corpus, c.Saved)
	return errors.Join(writeWhole(filepath.Join(dir, "stats.json"), append(b, '\n')), startPlot(plot), appendLine(plot, line))
}

// stats writes how the campaign stands. Where that fails, as on a full disk, it is said
// once, and the campaign goes on.
func (w *campaignWork) stats() {
	err := newCampaignStats(w.board.Status(), time.Now()).write(w.f.file.Output)
	if err != nil && w.unwritten == nil {
		w.u.warn("writing the campaign's statistics to %s: %v", w.f.file.Output, explainFull(err))
	}
	w.unwritten = err
}
