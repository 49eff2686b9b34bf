package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
)

// progress says every few seconds how a run stands, on the terminal and on disk.
type progress struct {
	u       *ui
	out     *output
	stop    context.CancelFunc
	err     error // why the run was stopped
	last    fuzz.Stats
	seconds int
	told    bool // last, in a line
	spoken  bool
}

func newProgress(u *ui, out *output, stop context.CancelFunc) *progress {
	return &progress{u: u, out: out, stop: stop}
}

// linesEvery is how many seconds there are from line to line.
const linesEvery = 3

// second is called every second, from one goroutine at a time.
func (p *progress) second(s fuzz.Stats) {
	if p.seconds++; p.seconds%linesEvery == 0 {
		p.tick(s)
	}
}

func (p *progress) tick(s fuzz.Stats) {
	p.introduce(&s)
	p.told = p.u.progress("%s", progressLine(&s, rate(&p.last, &s)))
	p.last = s
	if err := p.out.write(newSummary(&s, p.out.list(), p.out)); err != nil {
		p.err = fmt.Errorf("writing the statistics to %s: %w", p.out.dir, explainFull(err))
		p.stop()
	}
}

// said reports whether the last line is as good as one about s: it has the same second
// and the same counts, but for executions.
func (p *progress) said(s *fuzz.Stats) bool {
	l := &p.last
	return p.told && l.Elapsed > 0 && l.Elapsed.Round(time.Second) == s.Elapsed.Round(time.Second) &&
		l.Edges == s.Edges && l.Corpus == s.Corpus && l.Findings == s.Findings
}

// introduce says once which executor was chosen, and why.
func (p *progress) introduce(s *fuzz.Stats) {
	if !p.spoken && s.Executor != "" {
		p.u.say("executor %s", s.Executor)
		p.spoken = true
	}
}

// rate is that of the time between two moments.
func rate(before, now *fuzz.Stats) float64 {
	elapsed := now.Elapsed - before.Elapsed
	if elapsed <= 0 {
		return 0
	}
	return float64(now.Execs-before.Execs) / elapsed.Seconds()
}

// progressLine reads like those of go test -fuzz.
func progressLine(s *fuzz.Stats, rate float64) string {
	return fmt.Sprintf("elapsed: %s, execs: %d (%.0f/sec), edges: %d/%d, corpus: %d (newest %s ago), findings: %d",
		s.Elapsed.Round(time.Second), s.Execs, rate, s.Edges, s.Total, s.Corpus, s.Newest.Round(time.Second), s.Findings)
}
