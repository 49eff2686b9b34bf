package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// statusJSON is /api/status, and what events bring. Names are those of stats.json where it
// has the same number.
type statusJSON struct {
	// ID is where in the stream of events this is, see cursor.
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Mode    string       `json:"mode,omitempty"`
	Started string       `json:"started,omitempty"` // RFC 3339, UTC, as all moments
	Now     string       `json:"now,omitempty"`
	Workers int          `json:"workers"`
	Ended   bool         `json:"ended"`
	Targets []targetJSON `json:"targets"`
	Notices []noticeJSON `json:"notices"`
	Peers   []peerJSON   `json:"peers"`
}

type targetJSON struct {
	Name    string `json:"name"`
	Object  string `json:"object,omitempty"`
	Program string `json:"program,omitempty"`
	Type    string `json:"type,omitempty"`
	// State is waiting, running, ended or failed.
	State   string  `json:"state"`
	Problem string  `json:"problem,omitempty"`
	Execs   uint64  `json:"execs_done"`
	Rate    float64 `json:"execs_per_sec"`
	Elapsed float64 `json:"elapsed_seconds"`
	Edges   int     `json:"edges_found"`
	Total   int     `json:"total_edges"`
	Corpus  int     `json:"corpus_count"`
	Found   int     `json:"corpus_found"`
	// Newest is the time for which the target ran since the newest input was found, in
	// seconds.
	Newest      float64 `json:"time_wo_finds"`
	Solved      uint64  `json:"comparisons_solved"`
	Unconfirmed uint64  `json:"unconfirmed"`
	Stability   float64 `json:"stability"`
	Saved       int     `json:"saved_findings"`
	// NewFindings are those of this process that nobody marked as known.
	NewFindings int `json:"new_findings"`
}

type noticeJSON struct {
	At      string `json:"at"`
	Target  string `json:"target,omitempty"`
	Text    string `json:"text"`
	Warning bool   `json:"warning"`
}

type peerJSON struct {
	Name  string  `json:"name"`
	Seen  string  `json:"seen"`
	Execs uint64  `json:"execs_done"`
	Rate  float64 `json:"execs_per_sec"`
}

// pointJSON is a moment of a target: seconds since the start, executions, edges, corpus,
// findings, executions per second.
type pointJSON [6]float64

type findingJSON struct {
	Key     string `json:"key"`
	Kind    string `json:"kind"`
	Title   string `json:"title"`
	Path    string `json:"path"`
	Command string `json:"command,omitempty"`
	At      string `json:"at,omitempty"`
	Count   int    `json:"count"`
	New     bool   `json:"new"`
	Known   bool   `json:"known"`
	// Files are what can be downloaded, by address.
	Files []string `json:"files,omitempty"`
}

type gainJSON struct {
	At    string `json:"at"`
	Edges int    `json:"edges"`
	Where string `json:"where,omitempty"`
}

type blockedJSON struct {
	Where       string `json:"where"`
	Wanted      string `json:"wanted,omitempty"`
	Nearest     string `json:"nearest,omitempty"`
	Unreachable bool   `json:"unreachable"`
	Reached     bool   `json:"reached"`
}

func newStatusJSON(s *campaign.Status) *statusJSON {
	j := &statusJSON{
		ID: cursorOf(s).String(), Title: s.Title, Mode: s.Mode, Started: stamp(s.Started), Now: stamp(s.Now), Workers: s.Workers,
		Ended: s.Ended, Targets: []targetJSON{}, Notices: []noticeJSON{}, Peers: []peerJSON{},
	}
	for i := range s.Targets {
		j.Targets = append(j.Targets, newTargetJSON(&s.Targets[i]))
	}
	for _, n := range s.Notices {
		j.Notices = append(j.Notices, noticeJSON{stamp(n.At), n.Target, n.Text, n.Warning})
	}
	for _, p := range s.Peers {
		j.Peers = append(j.Peers, peerJSON{p.Name, stamp(p.Seen), p.Execs, p.Rate})
	}
	return j
}

func newTargetJSON(t *campaign.TargetStatus) targetJSON {
	fresh, _ := countFindings(t)
	return targetJSON{
		Name: t.Name, Object: t.Object, Program: t.Program, Type: t.Type, State: stateName(t.State), Problem: t.Problem,
		Execs: t.Stats.Execs, Rate: t.Rate, Elapsed: t.Stats.Elapsed.Seconds(), Edges: t.Stats.Edges, Total: t.Stats.Total,
		Corpus: t.Stats.Corpus, Found: t.Stats.Found, Newest: t.Stats.Newest.Seconds(), Solved: t.Stats.Solved,
		Unconfirmed: t.Stats.Unconfirmed, Stability: t.Stats.Stability, Saved: len(t.Findings), NewFindings: fresh,
	}
}

// pointsAfter are a target's points that are younger than a moment.
func pointsAfter(t *campaign.TargetStatus, after time.Duration) []pointJSON {
	list := []pointJSON{}
	for _, p := range t.Points {
		if p.At > after {
			list = append(list, pointJSON{p.At.Seconds(), float64(p.Execs), float64(p.Edges), float64(p.Corpus), float64(p.Findings), p.Rate})
		}
	}
	return list
}

func (s *site) apiStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, newStatusJSON(s.opts.Board.Status()))
}

// apiTarget is a target with its history.
func (s *site) apiTarget(w http.ResponseWriter, r *http.Request) {
	status := s.opts.Board.Status()
	t := status.Target(r.PathValue("target"))
	if t == nil {
		writeError(w, http.StatusNotFound, "there is no such target")
		return
	}
	answer := struct {
		ID string `json:"id"`
		targetJSON
		Dir      string        `json:"dir,omitempty"`
		Points   []pointJSON   `json:"points"`
		Findings []findingJSON `json:"findings"`
		Gains    []gainJSON    `json:"gains"`
	}{cursorOf(status).String(), newTargetJSON(t), t.Dir, pointsAfter(t, -1), []findingJSON{}, []gainJSON{}}
	for i := range t.Findings {
		f := &t.Findings[i]
		one := findingJSON{Key: f.Key, Kind: f.Kind, Title: f.Title, Path: f.Path, Command: f.Command, At: stamp(f.At), Count: f.Count, New: f.New, Known: f.Known}
		for _, file := range filesOf(f.Path) {
			one.Files = append(one.Files, fileURL(t.Name, f.Key, file.Name))
		}
		answer.Findings = append(answer.Findings, one)
	}
	for _, g := range t.Gains {
		answer.Gains = append(answer.Gains, gainJSON{stamp(g.At), g.Edges, g.Where})
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *site) apiFrontier(w http.ResponseWriter, r *http.Request) {
	list, err := s.blocked(r)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	all := make([]blockedJSON, 0, len(list))
	for _, b := range list {
		all = append(all, blockedJSON(b))
	}
	writeJSON(w, http.StatusOK, all)
}

func (s *site) apiSource(w http.ResponseWriter, r *http.Request) {
	report, err := s.covered(r)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, report)
}

func writeError(w http.ResponseWriter, code int, text string) {
	writeJSON(w, code, map[string]string{"error": text})
}

// writeJSON writes what has been made before: who has gone away gets no more.
func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "this cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n'))
}
