package notify

import (
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// Version is that of the generic body. It grows when a field changes its meaning or goes
// away; fields may be added without.
const Version = 1

// Kinds of events.
const (
	// NewFinding is a finding that this process made and nobody marked as known.
	NewFinding = "finding"
	// TargetFailed is a target that cannot run.
	TargetFailed = "target_failed"
	// CampaignEnded is the end, in order, of a campaign or a run.
	CampaignEnded = "campaign_ended"
)

// Event is what happened. Its JSON is the generic body of a notification.
type Event struct {
	Version int       `json:"version"`
	Event   string    `json:"event"` // its kind
	Time    time.Time `json:"time"`
	// Campaign is the title of the campaign or of the run, Mode its mode, "" for a run.
	Campaign string `json:"campaign"`
	Mode     string `json:"mode,omitempty"`
	// Target is the target that it is about, Program its program; "" at the end.
	Target  string `json:"target,omitempty"`
	Program string `json:"program,omitempty"`
	// Problem says in one line why a target failed.
	Problem string `json:"problem,omitempty"`
	// Finding is there for a new finding.
	Finding *Finding `json:"finding,omitempty"`
	// Totals are over all targets, as of the event.
	Totals Totals `json:"totals"`
}

// Finding is a finding as it is announced.
type Finding struct {
	Key   string `json:"key"`
	Kind  string `json:"kind"` // the oracle
	Title string `json:"title"`
	// Path is its directory on the machine that found it, Command replays it there.
	Path    string `json:"path"`
	Command string `json:"command,omitempty"`
}

// Totals are over all targets of a campaign.
type Totals struct {
	Targets int `json:"targets"`
	Failed  int `json:"targets_failed"`
	// Execs counts executions of this process, and Seconds is how long it has been running.
	Execs   uint64  `json:"execs_done"`
	Seconds float64 `json:"elapsed_seconds"`
	Edges   int     `json:"edges_found"`
	Total   int     `json:"total_edges"`
	Corpus  int     `json:"corpus_count"`
	// New counts the findings of this process that are not known, Findings all.
	New      int `json:"new_findings"`
	Findings int `json:"saved_findings"`
}

// maxText bounds texts that come from programs and their inputs, in bytes.
const maxText = 2048

func newEvent(kind string, s *campaign.Status) *Event {
	e := &Event{Version: Version, Event: kind, Time: s.Now.UTC().Truncate(time.Millisecond), Campaign: cut(s.Title), Mode: s.Mode}
	e.Totals.Targets = len(s.Targets)
	if !s.Started.IsZero() {
		e.Totals.Seconds = s.Now.Sub(s.Started).Seconds()
	}
	for i := range s.Targets {
		t := &s.Targets[i]
		if t.State == campaign.Failed {
			e.Totals.Failed++
		}
		e.Totals.Execs += t.Stats.Execs
		e.Totals.Edges += t.Stats.Edges
		e.Totals.Total += t.Stats.Total
		e.Totals.Corpus += t.Stats.Corpus
		e.Totals.Findings += len(t.Findings)
		for j := range t.Findings {
			if isNew(&t.Findings[j]) {
				e.Totals.New++
			}
		}
	}
	return e
}

func isNew(f *campaign.FindingStatus) bool { return f.New && !f.Known }

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && text[end]&0xc0 == 0x80 { // not within a rune
		end--
	}
	return text[:end] + "…"
}

// watcher tells what happened from one status to the next.
type watcher struct {
	findings map[[2]string]bool // that were told of, by target and key
	problems map[string]string  // of targets that failed
	ended    bool
}

func newWatcher() *watcher {
	return &watcher{findings: map[[2]string]bool{}, problems: map[string]string{}}
}

// events returns what is new in s. A target that fails again for the same reason is not
// new until it ran in between.
func (w *watcher) events(s *campaign.Status) (events []*Event) {
	for i := range s.Targets {
		t := &s.Targets[i]
		events = append(events, w.foundIn(s, t)...)
		switch {
		case t.State == campaign.Running:
			delete(w.problems, t.Name)
		case t.State == campaign.Failed && w.problems[t.Name] != "failed: "+t.Problem:
			w.problems[t.Name] = "failed: " + t.Problem
			e := about(TargetFailed, s, t)
			e.Problem = cut(t.Problem)
			events = append(events, e)
		}
	}
	if s.Ended && !w.ended {
		w.ended = true
		events = append(events, newEvent(CampaignEnded, s))
	}
	return events
}

// foundIn returns an event for each new finding of a target, the oldest first.
func (w *watcher) foundIn(s *campaign.Status, t *campaign.TargetStatus) (events []*Event) {
	for i := len(t.Findings) - 1; i >= 0; i-- {
		f := &t.Findings[i]
		at := [2]string{t.Name, f.Key}
		if !isNew(f) || w.findings[at] {
			continue
		}
		w.findings[at] = true
		e := about(NewFinding, s, t)
		e.Finding = &Finding{Key: f.Key, Kind: f.Kind, Title: cut(f.Title), Path: f.Path, Command: cut(f.Command)}
		events = append(events, e)
	}
	return events
}

func about(kind string, s *campaign.Status, t *campaign.TargetStatus) *Event {
	e := newEvent(kind, s)
	e.Target, e.Program = t.Name, t.Program
	return e
}
