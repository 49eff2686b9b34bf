package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// campaignSummary is what --json prints of a campaign, with the names that run has.
type campaignSummary struct {
	Mode    campaign.Mode `json:"mode"`
	Elapsed float64       `json:"elapsed_seconds"`
	// Session is how long the campaign has fuzzed, processes before this one included.
	Session float64         `json:"session_seconds"`
	Ended   bool            `json:"ended"`
	Seed    uint64          `json:"seed"`
	Workers int             `json:"workers"`
	Execs   uint64          `json:"execs_done"`
	Edges   int             `json:"edges_found"`
	Total   int             `json:"total_edges"`
	Corpus  int             `json:"corpus_count"`
	New     int             `json:"new_findings"`
	Failed  int             `json:"failed_targets"`
	Targets []targetSummary `json:"targets"`
}

// targetSummary is a target in a campaignSummary. Turns and TurnSeconds are those of all
// processes, the other numbers those of this one.
type targetSummary struct {
	Name        string            `json:"name"`
	Dir         string            `json:"directory"`
	Turns       int               `json:"turns"`
	TurnSeconds float64           `json:"turn_seconds"`
	Execs       uint64            `json:"execs_done"`
	Edges       int               `json:"edges_found"`
	Total       int               `json:"total_edges"`
	Corpus      int               `json:"corpus_count"`
	Problem     string            `json:"problem,omitempty"`
	Findings    []campaignFinding `json:"findings"`
}

// campaignFinding is a finding that is open, or that is fixed by a new build.
type campaignFinding struct {
	summaryFinding
	State report.State `json:"state"`
	New   bool         `json:"new"`
	Known bool         `json:"known"`
	// counts says that it makes the exit code 1.
	counts bool
}

// summary reads from the targets' directories what came of the campaign.
func (w *campaignWork) summary() (*campaignSummary, error) {
	file := w.f.file
	s := &campaignSummary{
		Mode: file.Mode, Elapsed: time.Since(w.started).Seconds(), Session: w.past.Session.Used, Ended: w.past.Session.Ended,
		Seed: w.past.Seed, Workers: file.Workers, Targets: []targetSummary{},
	}
	totals := totalsOf(w.board.Status())
	s.Execs, s.Edges, s.Total, s.Corpus = totals.execs, totals.edges, totals.total, totals.corpus
	for _, t := range w.targets {
		one, err := w.targetSummary(t)
		if err != nil {
			return nil, err
		}
		for i := range one.Findings {
			if one.Findings[i].counts {
				s.New++
			}
		}
		if one.Problem != "" {
			s.Failed++
		}
		s.Targets = append(s.Targets, one)
	}
	return s, nil
}

func (w *campaignWork) targetSummary(t *campaignTarget) (targetSummary, error) {
	past, stats := w.past.Target(t.Name), &w.board.Status().Target(t.Name).Stats
	s := targetSummary{
		Name: t.Name, Dir: t.dir, Turns: past.Turns, TurnSeconds: past.Used, Problem: past.Problem,
		Execs: stats.Execs, Edges: stats.Edges, Total: stats.Total, Corpus: stats.Corpus, Findings: []campaignFinding{},
	}
	open, err := openFindingsOf(t.dir)
	if err != nil {
		return s, err
	}
	before := map[string]bool{}
	for _, key := range past.Before {
		before[key] = true
	}
	listed := map[string]bool{}
	for _, f := range open {
		listed[f.Key] = true
		s.Findings = append(s.Findings, w.finding(t, f, !before[f.Key] && !t.baselineKeys[f.Key]))
	}
	for key, f := range t.checked {
		if !listed[key] {
			s.Findings = append(s.Findings, w.finding(t, f, false))
		}
	}
	return s, nil
}

// finding says how a finding counts. A baseline's that fails is not new either.
func (w *campaignWork) finding(t *campaignTarget, f *report.Status, isNew bool) campaignFinding {
	state := f.State
	if again := t.checked[f.Key]; again != nil && state != report.Regressed {
		state = again.State
	}
	one := campaignFinding{
		summaryFinding: summaryFinding{Key: f.Key, Kind: f.Kind, Title: f.Title, Path: f.Path},
		State:          state, New: isNew, Known: f.Known,
	}
	fails := state != report.Fixed && state != report.Unchecked
	one.counts = fails && !f.Known && (isNew || w.f.file.Mode == campaign.Regression)
	return one
}

// finish says what came of the campaign. Ran is the error of running it.
func (w *campaignWork) finish(ran error) error {
	s, err := w.summary()
	if err != nil {
		return err
	}
	w.u.say("%s", s.text())
	if w.f.json {
		if err := w.u.printJSON(s); err != nil {
			return err
		}
	}
	switch {
	case s.New > 0:
		return errFindings
	case errors.Is(ran, campaign.ErrNothingRan):
		return fmt.Errorf("%w: %s", ran, s.problems())
	case ran != nil:
		return ran
	case s.Failed > 0 && s.Mode != campaign.Nightly:
		return fmt.Errorf("%s could not run: %s", count(s.Failed, "target"), s.problems())
	}
	return w.stored
}

// text says what came of a campaign, for people.
func (s *campaignSummary) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "elapsed: %s, execs: %d, edges: %d/%d, corpus: %d, new findings: %d", roundTime(seconds(s.Elapsed)), s.Execs, s.Edges, s.Total, s.Corpus, s.New)
	for i := range s.Targets {
		t := &s.Targets[i]
		for j := range t.Findings {
			if f := &t.Findings[j]; f.counts {
				fmt.Fprintf(&b, "\nbpffuzz:   %s: %s: %s", t.Name, f.Title, f.Path)
			}
		}
	}
	for i := range s.Targets {
		if t := &s.Targets[i]; t.Problem != "" {
			fmt.Fprintf(&b, "\nbpffuzz:   %s could not run: %s", t.Name, oneLine(t.Problem))
		}
	}
	return b.String()
}

// problems says why targets could not run.
func (s *campaignSummary) problems() string {
	var all []string
	for i := range s.Targets {
		if t := &s.Targets[i]; t.Problem != "" {
			all = append(all, t.Name+": "+oneLine(t.Problem))
		}
	}
	const most = 3
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "; ")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
