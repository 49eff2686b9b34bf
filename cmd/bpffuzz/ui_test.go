package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

func TestProgressLine(t *testing.T) {
	before := &fuzz.Stats{Elapsed: 3 * time.Second, Execs: 1000}
	now := &fuzz.Stats{
		Elapsed: 6*time.Second + 40*time.Millisecond, Execs: 1_234_567, Edges: 120, Total: 250,
		Corpus: 57, Newest: 1200 * time.Millisecond, Findings: 1,
	}
	const want = "elapsed: 6s, execs: 1234567 (405779/sec), edges: 120/250, corpus: 57 (newest 1s ago), findings: 1"
	if got := progressLine(now, rate(before, now)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := rate(now, now); got != 0 {
		t.Errorf("rate %v of no time", got)
	}
}

func TestReplayCommand(t *testing.T) {
	t.Setenv("SUDO_UID", "")
	for name, test := range map[string]struct {
		flags targetFlags
		want  string
	}{
		"object":      {targetFlags{object: "a.o"}, "replay a.o out/f"},
		"target file": {targetFlags{config: "my targets/t.yaml"}, "replay -c 'my targets/t.yaml' out/f"},
		"all": {
			targetFlags{config: "t.yaml", program: "p", object: "a.o", invariants: []string{"ret < 4", "it's"}, oracles: []string{"verdict=off"}},
			`replay -c t.yaml -p p --invariant 'ret < 4' --invariant 'it'\''s' --oracle verdict=off a.o out/f`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := withFinding(replayCommand(&test.flags), "out/f")
			if _, words, _ := strings.Cut(got, " "); words != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	t.Setenv("SUDO_UID", "1000")
	if got := replayCommand(&targetFlags{}); !strings.HasPrefix(got, "sudo ") {
		t.Errorf("%q does not have the privileges of the run", got)
	}
}

func TestMessages(t *testing.T) {
	var said strings.Builder
	u := &ui{stderr: &said}
	u.fail(errors.Join(errors.New("one"), errors.New("two")))
	u.warn("%v", errors.New("three\nfour"))
	u.say("program %s", "\x1b[2Jname\u009b")
	if want := "bpffuzz: one; two\nbpffuzz: warning: three; four\nbpffuzz: program \ufffd[2Jname\ufffd\n"; said.String() != want {
		t.Errorf("said %q, want %q", said.String(), want)
	}
}

func TestHeadline(t *testing.T) {
	for oracle, want := range map[string]string{"verdict": "verdict: bad", "invariant-x": "bad"} {
		if got := headline(&triage.Finding{Oracle: oracle, Title: "bad"}); got != want {
			t.Errorf("%s: %q, want %q", oracle, got, want)
		}
	}
}

// A tick that came with the end is not said twice.
func TestProgressIsSaidOnce(t *testing.T) {
	tick := fuzz.Stats{Elapsed: 3 * time.Second, Execs: 1000, Edges: 5, Corpus: 2}
	for name, test := range map[string]struct {
		change func(*fuzz.Stats)
		said   bool
	}{
		"a moment later":      {func(s *fuzz.Stats) { s.Elapsed += 40 * time.Millisecond; s.Execs += 90 }, true},
		"a second later":      {func(s *fuzz.Stats) { s.Elapsed += time.Second }, false},
		"with an edge more":   {func(s *fuzz.Stats) { s.Edges++ }, false},
		"with an entry more":  {func(s *fuzz.Stats) { s.Corpus++ }, false},
		"with a finding more": {func(s *fuzz.Stats) { s.Findings++ }, false},
		"nothing said as yet": {func(s *fuzz.Stats) { *s = fuzz.Stats{} }, false},
	} {
		p := &progress{last: tick, told: true}
		now := tick
		if test.change(&now); now.Elapsed == 0 {
			p.last = fuzz.Stats{}
		}
		if got := p.said(&now); got != test.said {
			t.Errorf("%s: said %t, want %t", name, got, test.said)
		}
		if p.told = false; p.said(&now) {
			t.Errorf("%s: said, while a screen had the terminal", name)
		}
	}
}
