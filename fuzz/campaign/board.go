package campaign

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

// Board holds the Status that everybody who watches sees. The zero value holds an empty
// one. It is safe for concurrent use.
type Board struct {
	mu      sync.Mutex
	status  *Status
	changed chan struct{} // closed with the next change; nil while nobody waits
}

// Update changes the Status and wakes those who wait. Change gets a copy that is its own
// until it returns; it must not call the Board.
func (b *Board) Update(change func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.status.clone()
	change(next)
	next.Version++
	next.Now = time.Now()
	b.status = next
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Status returns the newest Status, never nil. Nobody changes it.
func (b *Board) Status() *Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status == nil {
		b.status = &Status{}
	}
	return b.status
}

// Wait returns the newest Status whose Version is above after, as soon as there is one.
// The error is the context's.
func (b *Board) Wait(ctx context.Context, after uint64) (*Status, error) {
	for {
		status, changed := b.next(after)
		if changed == nil {
			return status, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// next returns the Status if it is newer than after, else what is closed with a change.
func (b *Board) next(after uint64) (*Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status != nil && b.status.Version > after {
		return b.status, nil
	}
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return nil, b.changed
}

// clone copies what a change may alter in place.
func (s *Status) clone() *Status {
	if s == nil {
		return &Status{}
	}
	c := *s
	c.Targets = slices.Clone(s.Targets)
	for i := range c.Targets {
		t := &c.Targets[i]
		t.Points = slices.Clone(t.Points)
		t.Findings = slices.Clone(t.Findings)
		t.Gains = slices.Clone(t.Gains)
	}
	c.Notices = slices.Clone(s.Notices)
	c.Peers = slices.Clone(s.Peers)
	return &c
}

// Details answers what is too much for a Status, when somebody looks at it. Its methods
// are safe for concurrent use, take seconds at most, and end with their context. A target
// that has no answer yet gives an error that says so in one line.
type Details interface {
	// Frontier lists what no input of the target gets past, the nearest first.
	Frontier(ctx context.Context, target string) ([]Blocked, error)
	// Source returns the target's source lines with what inputs reach. Nobody changes it.
	Source(ctx context.Context, target string) (*lines.Report, error)
	// Graph draws the target's control flow with what inputs reach, as SVG.
	Graph(ctx context.Context, target string, w io.Writer) error
}
