// Package campaign fuzzes many targets over nights, and tells those who watch how it
// stands: a Board holds the Status that screens, dashboards and metrics show, of a
// campaign as of a single run.
package campaign

import (
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
)

// State is what is done with a target at a moment.
type State string

// The states of a target. The zero value is one that waits for its turn.
const (
	Waiting State = ""
	Running State = "running"
	Ended   State = "ended"
	Failed  State = "failed"
)

// Status is a campaign, or a run of one target, at one moment. What a Board hands out is
// never changed.
type Status struct {
	// Version grows with each change; 0 is a Status that nobody has published yet.
	Version uint64
	// Title is what is run: the campaign's file, or the target's program.
	Title string
	// Mode is the campaign's mode; "" for a single run.
	Mode string
	// Started is when this process began, Now the moment of the Status.
	Started, Now time.Time
	// Workers run at once, over all targets.
	Workers int
	// Ended says that nothing more is going to come.
	Ended bool
	// Targets are in the order of the campaign's file.
	Targets []TargetStatus
	// Notices say what happened, the newest first, at most MaxNotices.
	Notices []Notice
	// Peers are the other machines of an exchange, by name.
	Peers []Peer
}

// TargetStatus is a target at one moment.
type TargetStatus struct {
	// Name is unique in a campaign and can be used as a file name.
	Name string
	// Object is the path of the object, Program the program in it, Type its kind as
	// bpftool prints it; the latter are "" until it was loaded.
	Object, Program, Type string
	// State, and in one line why where it is Failed.
	State   State
	Problem string
	// Dir is the target's output directory.
	Dir string
	// Stats are the sum over all the target's turns of this process; Rate is executions
	// per second of the last moments, 0 while it waits.
	Stats fuzz.Stats
	Rate  float64
	// Points are the target's progress, the oldest first, at most MaxPoints.
	Points []Point
	// Findings are what its directory holds, the newest first.
	Findings []FindingStatus
	// Gains are its last new edges, the newest first, at most MaxGains.
	Gains []Gain
}

// Point is how far a target was at a moment.
type Point struct {
	// At is the time since the Status's Started.
	At       time.Duration
	Execs    uint64
	Edges    int
	Corpus   int
	Findings int
	// Rate is executions per second since the point before.
	Rate float64
}

// FindingStatus is a finding of a target.
type FindingStatus struct {
	Key, Kind, Title string
	// Path is its directory, with report.txt, input.pcap and the other exports; Command
	// replays it, "" where that is not known.
	Path, Command string
	// At is when it was first written.
	At time.Time
	// Count is how often the failure was met.
	Count int
	// New says that this process found it, Known that somebody marked it as known.
	New, Known bool
}

// Gain is an input that reached something new.
type Gain struct {
	At time.Time
	// Edges is how many were new, Where the source line of the first of them, as
	// "file.c:12", "" where the object has no line info.
	Edges int
	Where string
}

// Blocked is a branch that no input of a target gets past.
type Blocked struct {
	// Where is its source line, or function and instruction.
	Where string
	// Wanted says in one line what would have to be true, Nearest what came nearest.
	Wanted, Nearest string
	// Unreachable says that the verifier removed it; Reached that inputs come by.
	Unreachable, Reached bool
}

// Notice is something that happened, in one line.
type Notice struct {
	At     time.Time
	Target string // "" where it is about all
	Text   string
	// Warning says that somebody should do something about it.
	Warning bool
}

// Peer is another machine that works on the same targets.
type Peer struct {
	Name  string
	Seen  time.Time
	Execs uint64
	Rate  float64
}

// The limits of a Status, which is held in memory and sent to browsers.
const (
	MaxPoints  = 1024
	MaxNotices = 100
	MaxGains   = 20
)

// Target returns the target of that name, nil when there is none.
func (s *Status) Target(name string) *TargetStatus {
	for i := range s.Targets {
		if s.Targets[i].Name == name {
			return &s.Targets[i]
		}
	}
	return nil
}

// Finding returns the target's finding of that key, nil when there is none.
func (t *TargetStatus) Finding(key string) *FindingStatus {
	for i := range t.Findings {
		if t.Findings[i].Key == key {
			return &t.Findings[i]
		}
	}
	return nil
}

// AddPoint appends a point, and halves the resolution of the older ones where there would
// be more than MaxPoints. A point at the time of the last one, or before it, replaces what
// that one says.
func (t *TargetStatus) AddPoint(p Point) {
	if n := len(t.Points); n > 0 && p.At <= t.Points[n-1].At {
		p.At = t.Points[n-1].At
		t.Points[n-1] = p
		return
	}
	if len(t.Points) == MaxPoints {
		kept := t.Points[:0]
		for i := 1; i < len(t.Points); i += 2 {
			kept = append(kept, t.Points[i])
		}
		t.Points = kept
	}
	t.Points = append(t.Points, p)
}

// AddGain puts a gain before the others.
func (t *TargetStatus) AddGain(g Gain) { t.Gains = prepend(t.Gains, g, MaxGains) }

// Notify puts a notice before the others.
func (s *Status) Notify(n Notice) { s.Notices = prepend(s.Notices, n, MaxNotices) }

// prepend puts one before a list and keeps the first limit of them.
func prepend[T any](list []T, one T, limit int) []T {
	list = append(list[:len(list):len(list)], one)
	copy(list[1:], list)
	list[0] = one
	return list[:min(len(list), limit)]
}
