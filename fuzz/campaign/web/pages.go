package web

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// show writes a page whole, or says that it could not be made.
func (s *site) show(w http.ResponseWriter, code int, page string, l layout) {
	status := s.opts.Board.Status()
	if l.Status != nil {
		status = l.Status
	}
	l.Status, l.ID, l.Version = status, cursorOf(status).String(), s.opts.Version
	if !status.Started.IsZero() && status.Now.After(status.Started) {
		l.Elapsed = status.Now.Sub(status.Started)
	}
	var b bytes.Buffer
	if err := s.pages[page].Execute(&b, l); err != nil {
		http.Error(w, "this page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes())
}

func (s *site) missing(w http.ResponseWriter, _ *http.Request, text string) {
	s.show(w, http.StatusNotFound, "missing", layout{Title: "Not found", Body: text})
}

func (s *site) overview(w http.ResponseWriter, _ *http.Request) {
	status := s.opts.Board.Status()
	s.show(w, http.StatusOK, "overview", layout{Title: cmp.Or(status.Title, "bpffuzz"), Nav: "targets", Status: status, Body: newOverview(status)})
}

// logView is the page of what happened.
type logView struct {
	Notices []campaign.Notice
	Peers   []campaign.Peer
	Now     time.Time
}

func (s *site) log(w http.ResponseWriter, _ *http.Request) {
	status := s.opts.Board.Status()
	s.show(w, http.StatusOK, "log", layout{Title: "Events", Nav: "log", Status: status, Body: logView{status.Notices, status.Peers, status.Now}})
}

// targetView is what the pages of one target have.
type targetView struct {
	*campaign.TargetStatus
	Tab          string
	Details      bool // there is more to be asked
	Fresh, Known int
	Ages         []age
	Now          time.Time

	Error string // why there is no answer
	Asked any    // the answer
}

// targetOf returns the target that a request names; without one it answers and returns nil.
func (s *site) targetOf(w http.ResponseWriter, r *http.Request) (*campaign.Status, *targetView) {
	status := s.opts.Board.Status()
	t := status.Target(r.PathValue("target"))
	if t == nil {
		s.missing(w, r, "There is no such target.")
		return nil, nil
	}
	v := &targetView{TargetStatus: t, Details: s.opts.Details != nil, Now: status.Now}
	v.Fresh, v.Known = countFindings(t)
	return status, v
}

func (s *site) target(w http.ResponseWriter, r *http.Request) {
	status, v := s.targetOf(w, r)
	if v == nil {
		return
	}
	v.Tab, v.Ages = "target", corpusAges(v.Points)
	s.show(w, http.StatusOK, "target", layout{Title: v.Name, Nav: "targets", Status: status, Body: v})
}

// newest are the latest findings, at most so many.
func newest(list []findingRow, most int) []findingRow {
	slices.SortStableFunc(list, func(a, b findingRow) int { return b.At.Compare(a.At) })
	return list[:min(len(list), most)]
}
