package report

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Status is a finding as lists of findings show it: what its report says, and what
// became of it since.
type Status struct {
	Key     string `json:"key"`
	Kind    string `json:"kind"` // the oracle's name
	Title   string `json:"title"`
	Program string `json:"program"`
	Type    string `json:"type"`
	// Found is when it was found, in RFC 3339 and UTC; "" where that is not known.
	Found string `json:"found,omitempty"`
	// Count is how often the failure was met, at least 1.
	Count int  `json:"count"`
	Known bool `json:"known"`
	// File and Line are where the failing run passed last; "" and 0 without source lines.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Path is the finding's directory, Command replays it. Both may be "".
	Path    string `json:"path,omitempty"`
	Command string `json:"command,omitempty"`
	State   State  `json:"state"`
	// Failing of Runs failed when it was run again; both are 0 before.
	Failing int `json:"failing,omitempty"`
	Runs    int `json:"runs,omitempty"`
	// Fixed is when it was first seen to be fixed, Regressed when it failed again after
	// that; both in RFC 3339 and UTC, "" for never.
	Fixed     string `json:"fixed,omitempty"`
	Regressed string `json:"regressed,omitempty"`
	// Detail says more about the state, in one line.
	Detail string `json:"detail,omitempty"`
}

// State is what became of a finding.
type State string

// States. A finding is Open until it is run again, and then, for the next reader, Fixed,
// Regressed or Open.
const (
	Open      State = "open"
	Fixed     State = "fixed"         // it fails in no run
	Failing   State = "still failing" // in each
	Flaky     State = "flaky"         // in some
	Changed   State = "changed"       // in none, but another oracle objects
	Unchecked State = "unchecked"     // it could not be run or judged, see Detail
	Regressed State = "regressed"     // it fails, and was fixed
)

// Counts reports whether the finding is a reason to fail: nobody marked it as known,
// and it was not seen to be fixed.
func (s *Status) Counts() bool { return !s.Known && s.State != Fixed }

// ReadStatus reads report.json of a finding, whose state is what it was last seen to
// be. Found and Path are
// left to the caller. An error wraps a VersionError where the version is another.
func ReadStatus(b []byte) (*Status, error) {
	d, err := parse(b)
	if err != nil {
		return nil, err
	}
	if d.Key == "" || d.Kind == "" {
		return nil, errors.New("its report is no finding's: key or kind are missing")
	}
	s := &Status{
		Key: d.Key, Kind: d.Kind, Title: d.Title, Program: d.Program, Type: d.Type,
		Count: max(d.Count, 1), Known: d.Known, Command: d.Command, State: Open, Fixed: d.Fixed, Regressed: d.Regressed,
	}
	switch {
	case s.Regressed != "":
		s.State = Regressed
	case s.Fixed != "":
		s.State = Fixed
	}
	for i := len(d.Path) - 1; i >= 0 && s.File == ""; i-- {
		s.File, s.Line = place(cmp.Or(d.Path[i].ToLine, d.Path[i].FromLine))
	}
	return s, nil
}

// place parts "file.c:12"; what reads otherwise is no place.
func place(text string) (file string, line int) {
	at := strings.LastIndexByte(text, ':')
	if at <= 0 {
		return "", 0
	}
	line, err := strconv.Atoi(text[at+1:])
	if err != nil || line < 1 {
		return "", 0
	}
	return text[:at], line
}

// SetKnown returns a finding's report.json with the mark set or taken away. Runs that
// meet a known finding again say so, and do not fail for it.
func SetKnown(b []byte, known bool) ([]byte, error) {
	d, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("marking a finding: %w", err)
	}
	d.Known = known
	return d.marshal()
}

// Text returns the state with how often it failed.
func (s *Status) Text() string {
	text := string(s.State)
	switch {
	case s.State == Flaky:
		text = fmt.Sprintf("flaky: %d of %d", s.Failing, s.Runs)
	case s.State == Regressed:
		text = fmt.Sprintf("regressed: fixed %s", s.Fixed)
	case s.State == Fixed && s.Runs == 0:
		text = fmt.Sprintf("fixed %s", s.Fixed)
	}
	switch {
	case s.Known && s.State == Open:
		return "known"
	case s.Known:
		return text + ", known"
	}
	return text
}
