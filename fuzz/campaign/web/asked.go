package web

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"net/http"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

var errNoDetails = errors.New("there is nothing that could be asked about targets")

// blocked asks what the target of a request does not get past.
func (s *site) blocked(r *http.Request) ([]campaign.Blocked, error) {
	if s.opts.Details == nil {
		return nil, errNoDetails
	}
	return s.opts.Details.Frontier(r.Context(), r.PathValue("target"))
}

// covered asks for the source of the target of a request.
func (s *site) covered(r *http.Request) (*lines.Report, error) {
	if s.opts.Details == nil {
		return nil, errNoDetails
	}
	return s.opts.Details.Source(r.Context(), r.PathValue("target"))
}

func (s *site) frontier(w http.ResponseWriter, r *http.Request) {
	status, v := s.targetOf(w, r)
	if v == nil {
		return
	}
	v.Tab = "frontier"
	if list, err := s.blocked(r); err != nil {
		v.Error = err.Error()
	} else {
		v.Asked = list
	}
	s.show(w, http.StatusOK, "frontier", layout{Title: v.Name + ": frontier", Nav: "targets", Status: status, Body: v})
}

// heat is the source of a target for its page.
type heat struct {
	*lines.Report
	Files  []heatFile
	Legend []heatState
}

type heatFile struct {
	Name  string
	Lines []heatLine
}

// heatLine is a line with the class that colours it, and the ways out of it that no input
// takes.
type heatLine struct {
	*lines.Line
	ID, Class, Mark string
	Ways            []way
}

type way struct{ To, Kind, State, Class string }

type heatState struct{ Name, Class, Mark string }

func (s *site) source(w http.ResponseWriter, r *http.Request) {
	status, v := s.targetOf(w, r)
	if v == nil {
		return
	}
	v.Tab = "source"
	if report, err := s.covered(r); err != nil {
		v.Error = err.Error()
	} else {
		v.Asked = newHeat(report)
	}
	s.show(w, http.StatusOK, "source", layout{Title: v.Name + ": source", Nav: "targets", Status: status, Body: v})
}

func newHeat(r *lines.Report) *heat {
	h := &heat{Report: r}
	for state := lines.Covered; state <= lines.Merged; state++ {
		h.Legend = append(h.Legend, heatState{state.String(), heatClass(state, 1, 1), heatMark(state)})
	}
	for i := range r.Files {
		f, most := &r.Files[i], 0
		for j := range f.Lines {
			most = max(most, f.Lines[j].Inputs)
		}
		shown := heatFile{Name: f.Name}
		for j := range f.Lines {
			l := &f.Lines[j]
			line := heatLine{Line: l, ID: fmt.Sprintf("f%dl%d", i, l.Number), Class: heatClass(l.State, l.Inputs, most), Mark: heatMark(l.State)}
			for k := range l.Branches {
				if b := &l.Branches[k]; b.State != lines.Covered {
					line.Ways = append(line.Ways, way{b.To, map[bool]string{true: "taken", false: "else"}[b.Taken], b.State.String(), heatClass(b.State, 0, 1)})
				}
			}
			shown.Lines = append(shown.Lines, line)
		}
		h.Files = append(h.Files, shown)
	}
	return h
}

// heatClass is the style of a state. Covered lines have four shades, by powers of two of
// the share of the most that any line of the file has.
func heatClass(s lines.State, inputs, most int) string {
	switch s {
	case lines.Covered:
		return fmt.Sprintf("covered covered%d", max(0, 3-(bits.Len(uint(most))-bits.Len(uint(inputs)))))
	case lines.Partial:
		return "partial"
	case lines.Missed:
		return "missed"
	case lines.Removed:
		return "removed"
	case lines.Unknown:
		return "unknown"
	case lines.Merged:
		return "merged"
	case lines.None:
	}
	return "none"
}

// heatMark tells states apart without colours.
func heatMark(s lines.State) string {
	return [...]string{lines.None: "", lines.Covered: "●", lines.Partial: "◐", lines.Missed: "○", lines.Removed: "×", lines.Unknown: "?", lines.Merged: "·"}[min(s, lines.Merged)]
}

// flow is the page with the picture.
func (s *site) flow(w http.ResponseWriter, r *http.Request) {
	status, v := s.targetOf(w, r)
	if v == nil {
		return
	}
	v.Tab = "flow"
	if s.opts.Details == nil {
		v.Error = errNoDetails.Error()
	}
	s.show(w, http.StatusOK, "flow", layout{Title: v.Name + ": control flow", Nav: "targets", Status: status, Body: v})
}

// graph is the picture of a target's control flow. Nothing in it is run, whoever opens it.
func (s *site) graph(w http.ResponseWriter, r *http.Request) {
	if s.opts.Details == nil {
		http.Error(w, errNoDetails.Error(), http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	if err := s.opts.Details.Graph(r.Context(), r.PathValue("target"), &b); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	isolate(w)
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(b.Bytes())
}

// isolate has browsers run and load nothing that what follows asks for.
func isolate(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox allow-same-origin")
}
