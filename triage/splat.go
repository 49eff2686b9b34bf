package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage/kernellog"
)

// Names of oracles that hear what the kernel and the program say.
const (
	KernelSplat = "kernel-splat"
	Stderr      = "stderr"
)

// Sources of events that oracles judge.
const (
	SourceLog    = "kmsg"
	SourceStderr = "stderr"
)

// maxComplaintLines bounds the lines of complaints that events have, besides their heads.
const maxComplaintLines = 200

// AddComplaints appends what the kernel complains of to events, line by line.
func AddComplaints(events []corpus.Event, list []kernellog.Complaint) []corpus.Event {
	left := maxComplaintLines
	for i := range list {
		c := &list[i]
		lines := c.Lines
		if len(lines) > left {
			lines = []string{c.Head}
		}
		left -= len(lines)
		for _, line := range lines {
			events = append(events, corpus.Event{Source: SourceLog, Text: line})
		}
	}
	return events
}

// complaints puts together what events have of the kernel's log.
func complaints(events []corpus.Event) []kernellog.Complaint {
	var r kernellog.Reader
	for i := range events {
		if events[i].Source == SourceLog {
			r.Add(kernellog.Record{Text: events[i].Text})
		}
	}
	return r.Take()
}

// splatError is a complaint of the kernel.
type splatError struct{ complaint kernellog.Complaint }

func (e *splatError) Error() string { return "the kernel complains: " + e.complaint.String() }

// placedSplat is one that names its place in the kernel.
type placedSplat struct{ splatError }

// site implements sited: where the kernel notices is nearer to the defect than the edges of
// a program that it was called by.
func (e *placedSplat) site() string { return e.complaint.Kind + " in " + e.complaint.Where }

// Heard returns what the oracles of names object to in events, nil where that is nothing.
// Harmed says that the kernel may be.
func (j *Judge) Heard(events []corpus.Event) (f *Failure, harmed bool) {
	if j == nil || len(events) == 0 {
		return nil, false
	}
	out := &corpus.Outcome{Have: corpus.HaveEvents, Events: events}
	for _, c := range complaints(events) {
		harmed = harmed || c.Harm == kernellog.Harmed
	}
	for i := range j.oracles {
		if o := &j.oracles[i]; o.Need == corpus.HaveEvents && f == nil {
			if err := o.Judge(nil, out); err != nil {
				f = &Failure{Oracle: o.Name, Err: err}
			}
		}
	}
	return f, harmed
}

// newKernelSplat objects to what the kernel logs when something is wrong with it.
func newKernelSplat(*corpus.Shape) Oracle {
	return Oracle{
		Name: KernelSplat, Need: corpus.HaveEvents, When: Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			list := complaints(out.Events)
			switch {
			case len(list) == 0:
				return nil
			case list[0].Where == "":
				return &splatError{list[0]}
			}
			return &placedSplat{splatError{list[0]}}
		},
	}
}

// newStderr objects to text on the program's error stream, where the kernel says that it
// stopped a loop or that an address had no page, and programs what they choose to.
func newStderr(*corpus.Shape) Oracle {
	return Oracle{
		Name: Stderr, Need: corpus.HaveEvents, When: Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Events {
				if e := &out.Events[i]; e.Source == SourceStderr {
					return fmt.Errorf("the program's error stream says %q", e.Text)
				}
			}
			return nil
		},
	}
}
