package main

import (
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
)

// summary is what --json prints, with AFL's names where it has one for it.
type summary struct {
	Execs    uint64           `json:"execs_done"`
	Rate     float64          `json:"execs_per_sec"`
	Elapsed  float64          `json:"elapsed_seconds"`
	Workers  int              `json:"workers"`
	Seed     uint64           `json:"seed"`
	Executor string           `json:"executor"`
	Edges    int              `json:"edges_found"`
	Total    int              `json:"total_edges"`
	Corpus   int              `json:"corpus_count"`
	Saved    int              `json:"saved_findings"`
	Findings []summaryFinding `json:"findings"`
	// Unconfirmed counts failing inputs that did not fail again from the initial state;
	// SavedUnconfirmed of them, those of earlier runs included, are kept apart.
	Unconfirmed      uint64 `json:"unconfirmed"`
	SavedUnconfirmed int    `json:"saved_unconfirmed"`
	// Solved counts comparisons that were made to go the other way, see fuzz.Stats.
	Solved uint64 `json:"comparisons_solved"`
	// Further counts inputs in memory that are kept for further features alone.
	Further int `json:"further_entries"`
	// Stability is a share from 0 to 1, see fuzz.Stats.
	Stability float64 `json:"stability"`
	// Found counts entries of the corpus that mutation found in this run: no seeds.
	Found int `json:"corpus_found"`
	// Newest is the time since the newest entry was found, in seconds.
	Newest float64 `json:"time_wo_finds"`
	// Live is there where frames were live.
	Live *bpf.LiveReport `json:"live,omitempty"`
}

type summaryFinding struct {
	Key   string `json:"key"`
	Kind  string `json:"kind"`
	Title string `json:"title"`
	Path  string `json:"path"`
}

func newSummary(s *fuzz.Stats, findings []*triage.Finding, out *output) *summary {
	// An executor describes itself as "single: why".
	executor, _, _ := strings.Cut(s.Executor, ":")
	sum := &summary{
		Execs: s.Execs, Rate: s.Rate(), Elapsed: s.Elapsed.Seconds(), Workers: s.Workers, Seed: s.Seed,
		Executor: executor, Edges: s.Edges, Total: s.Total, Corpus: s.Corpus, Saved: len(findings),
		Findings: []summaryFinding{}, Stability: s.Stability, Solved: s.Solved, Further: s.Further,
		Found: s.Found, Newest: s.Newest.Seconds(), Unconfirmed: s.Unconfirmed, SavedUnconfirmed: out.unconfirmed.Len(),
	}
	if out.live != nil {
		sum.Live = out.live()
	}
	for _, f := range findings {
		sum.Findings = append(sum.Findings, summaryFinding{Key: f.Key, Kind: f.Oracle, Title: f.Title, Path: out.findings.Path(f.Key)})
	}
	return sum
}
