package main

import (
	"slices"
	"sync"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// publisher puts what is done with a target onto the board of those who watch. It is safe
// for concurrent use.
type publisher struct {
	board  *campaign.Board
	target string
	// waits says that the target has another turn behind the one at hand.
	waits bool

	mu     sync.Mutex
	before fuzz.Stats   // of earlier turns
	turn   fuzz.Stats   // of this one
	last   *fuzz.Result // of the turn that ended last, until it is taken
	gained int          // edges, in this turn
}

// newPublisher returns a publisher for the target of that name, which is added to the
// board if it is not there.
func newPublisher(board *campaign.Board, target string) *publisher {
	board.Update(func(s *campaign.Status) {
		if s.Target(target) == nil {
			s.Targets = append(s.Targets, campaign.TargetStatus{Name: target})
		}
	})
	return &publisher{board: board, target: target}
}

// update changes the target on the board.
func (p *publisher) update(change func(*campaign.Status, *campaign.TargetStatus)) {
	p.board.Update(func(s *campaign.Status) {
		if t := s.Target(p.target); t != nil {
			change(s, t)
		}
	})
}

// begin says that a turn of the target begins, and has out and opts tell of findings and
// gains. Whoever runs it calls tick and end.
func (p *publisher) begin(s *subject, out *output, opts *fuzz.Options) {
	found, _, err := (&findingsDir{root: out.dir, dir: out.findings.Dir()}).read("")
	if err != nil {
		out.u.warn("%v", err)
	}
	p.update(func(_ *campaign.Status, t *campaign.TargetStatus) {
		t.Object, t.Program, t.Type = s.path, s.target.Shape().Program, s.target.Shape().Type
		t.Dir, t.State, t.Problem = out.dir, campaign.Running, ""
		t.Stats.Total = s.target.Table().Observable()
		t.Findings = p.findings(t.Findings, found, out)
	})
	p.mu.Lock()
	p.gained = 0
	p.mu.Unlock()
	out.stored = func(f *triage.Finding, path string) { p.finding(f, path, out) }
	opts.Gained = p.gain
}

// findings are those of a directory, the newest first. Which of them are new is known
// from the turns before.
func (p *publisher) findings(before []campaign.FindingStatus, found []*report.Status, out *output) []campaign.FindingStatus {
	isNew := map[string]bool{}
	for i := range before {
		isNew[before[i].Key] = before[i].New
	}
	var all []campaign.FindingStatus
	for _, f := range found {
		at, err := time.Parse(time.RFC3339, f.Found)
		if err != nil {
			at = time.Time{}
		}
		all = append(all, campaign.FindingStatus{
			Key: f.Key, Kind: f.Kind, Title: f.Title, Path: f.Path, Command: withFinding(out.command, f.Path),
			At: at, Count: f.Count, New: isNew[f.Key], Known: f.Known,
		})
	}
	slices.SortStableFunc(all, func(a, b campaign.FindingStatus) int { return b.At.Compare(a.At) })
	return all
}

// finding tells of a finding that was stored.
func (p *publisher) finding(f *triage.Finding, path string, out *output) {
	count, now := f.Count, time.Now()
	p.update(func(_ *campaign.Status, t *campaign.TargetStatus) {
		if t.Finding(f.Key) != nil {
			return // an earlier run's
		}
		one := campaign.FindingStatus{
			Key: f.Key, Kind: f.Oracle, Title: f.Title, Path: path, Command: withFinding(out.command, path),
			At: now, Count: count, New: true, Known: out.isKnown(f.Key),
		}
		t.Findings = append([]campaign.FindingStatus{one}, t.Findings...)
	})
}

// gain tells of an input that reached new edges.
func (p *publisher) gain(g fuzz.Gain) {
	now := time.Now()
	p.mu.Lock()
	p.gained += g.Edges
	p.mu.Unlock()
	p.update(func(_ *campaign.Status, t *campaign.TargetStatus) {
		t.AddGain(campaign.Gain{At: now, Edges: g.Edges, Where: g.First.ToPos.String()})
	})
}

// tick tells how the turn stands.
func (p *publisher) tick(now fuzz.Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	recent := rate(&p.turn, &now)
	p.turn = now
	p.update(func(s *campaign.Status, t *campaign.TargetStatus) {
		t.Stats, t.Rate = campaign.Sum(p.before, now), recent
		t.AddPoint(campaign.Point{
			At: time.Since(s.Started), Execs: t.Stats.Execs, Edges: t.Stats.Edges, Corpus: t.Stats.Corpus,
			Findings: len(t.Findings), Rate: recent,
		})
	})
}

// after is what the target does after a turn with that problem.
func (p *publisher) after(problem error) campaign.State {
	switch {
	case problem != nil:
		return campaign.Failed
	case p.waits:
		return campaign.Waiting
	}
	return campaign.Ended
}

// end says that the turn is over; a problem says why the target failed.
func (p *publisher) end(result *fuzz.Result, problem error) {
	if result != nil {
		p.tick(result.Stats)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = result
	p.before, p.turn = campaign.Sum(p.before, p.turn), fuzz.Stats{}
	p.update(func(_ *campaign.Status, t *campaign.TargetStatus) {
		t.State, t.Rate, t.Problem = p.after(problem), 0, ""
		if problem != nil {
			t.Problem = oneLine(problem.Error())
		}
		if result != nil {
			recounted(t, result.Findings)
		}
	})
}

// recounted adds how often a turn met each finding.
func recounted(t *campaign.TargetStatus, met []*triage.Finding) {
	for _, f := range met {
		if one := t.Finding(f.Key); one != nil {
			if one.New {
				one.Count = max(one.Count, f.Count)
			} else {
				one.Count += f.Count
			}
		}
	}
}
