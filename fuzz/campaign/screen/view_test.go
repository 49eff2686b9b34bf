package screen

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

var update = flag.Bool("update", false, "write the golden views anew")

var start = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// oneRun is a run of a firewall with a finding, as it stands after 12 minutes.
func oneRun() *campaign.Status {
	return &campaign.Status{
		Version: 1, Title: "firewall", Started: start, Workers: 2,
		Targets: []campaign.TargetStatus{{
			Name: "firewall", Object: "firewall.o", Program: "firewall", Type: "xdp", State: campaign.Running, Rate: 2_412_345,
			Stats: fuzz.Stats{Execs: 1_736_888_400, Edges: 162, Total: 169, Corpus: 79, Newest: 65 * time.Second, Stability: 1},
			Findings: []campaign.FindingStatus{
				{
					Key: "errno-firewall-1", Kind: "errno", Title: "BPF_PROG_RUN answered EINVAL", Path: "out/findings/errno-firewall-1",
					Command: "sudo bpffuzz replay firewall.o out/findings/errno-firewall-1", At: start.Add(time.Minute), New: true,
				},
				{Key: "b", Kind: "verdict", Title: "verdict 77 is none of XDP", Path: "out/findings/b", At: start, Known: true},
			},
			Gains: []campaign.Gain{
				{At: start.Add(11 * time.Minute), Edges: 1, Where: "firewall.bpf.c:282"},
				{At: start.Add(10 * time.Second), Edges: 12, Where: "firewall.bpf.c:116"},
			},
		}},
		Notices: []campaign.Notice{
			{At: start.Add(2 * time.Minute), Text: "warning: the dictionary has no words", Warning: true},
			{At: start.Add(time.Minute), Text: "finding: errno: BPF_PROG_RUN answered EINVAL"},
		},
	}
}

// night is a campaign of 24 targets.
func night() *campaign.Status {
	s := &campaign.Status{Version: 1, Title: "nightly.yaml", Mode: "nightly", Started: start, Workers: 8}
	for i := range 24 {
		t := campaign.TargetStatus{
			Name: fmt.Sprintf("object-%02d-program", i), State: campaign.Ended,
			Stats: fuzz.Stats{Execs: uint64(i) * 1_000_000, Edges: 10 * i, Total: 300, Corpus: 7 * i, Newest: time.Duration(i) * time.Hour},
		}
		switch {
		case i%5 == 1:
			t.State, t.Rate = campaign.Running, 1000*float64(i)
		case i%7 == 2:
			t.State, t.Problem = campaign.Failed, "loading object: no such file"
		case i%3 == 0:
			t.State = campaign.Waiting
		}
		if i == 6 {
			t.Findings = []campaign.FindingStatus{{Key: "k", Kind: "verdict", Title: "wrong", Command: "bpffuzz replay x", New: true}}
			t.Gains = []campaign.Gain{{At: start.Add(time.Minute), Edges: 3, Where: "a.c:1"}}
		}
		s.Targets = append(s.Targets, t)
	}
	return s
}

// hostile has names from foreign files that would do something to a terminal.
func hostile() *campaign.Status {
	s := oneRun()
	const bad = "a\x1b[2Jb\nc\t\u202ed\xff"
	t := &s.Targets[0]
	t.Name, t.Problem = bad, bad
	t.Findings[0].Title, t.Findings[0].Kind, t.Findings[0].Command = bad, bad, bad
	t.Gains[0].Where, s.Notices[0].Text, s.Title = bad, bad, bad
	return s
}

func at(s *campaign.Status, width, height int) *model {
	m := newModel(&campaign.Status{}, func() time.Time { return start.Add(12 * time.Minute) })
	m.width, m.height = width, height
	m.show(s)
	return m
}

func frontier(m *model) *model {
	m.note(blockedMsg{m.selected(), blocked{known: true, list: []campaign.Blocked{
		{Where: "firewall.bpf.c:292", Wanted: "packet 20 == 0x2f", Nearest: "6 against 47", Reached: true},
		{Where: "firewall.bpf.c:300", Reached: true},
		{Where: "firewall.bpf.c:310"},
		{Where: "firewall.bpf.c:320", Unreachable: true},
	}}})
	return m
}

func TestViews(t *testing.T) {
	for name, m := range map[string]*model{
		"run":             frontier(at(oneRun(), 80, 24)),
		"run-narrow":      frontier(at(oneRun(), 44, 24)),
		"run-low":         frontier(at(oneRun(), 80, 12)),
		"run-wide":        frontier(at(oneRun(), 120, 40)),
		"campaign":        at(night(), 80, 24),
		"campaign-tall":   at(night(), 100, 60),
		"campaign-narrow": at(night(), 40, 20),
		"nothing-yet":     at(&campaign.Status{}, 80, 24),
		"hostile":         at(hostile(), 80, 24),
		"help":            func() *model { m := at(oneRun(), 80, 24); m.key("?"); return m }(),
		"saturated": func() *model {
			m := at(oneRun(), 80, 10)
			m.note(blockedMsg{"firewall", blocked{known: true}})
			return m
		}(),
		"no-frontier": func() *model {
			m := at(oneRun(), 80, 10)
			m.note(blockedMsg{"firewall", blocked{err: errors.New("too many inputs")}})
			return m
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			got := ansi.Strip(checkShape(t, m))
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got+"\n" != string(want) {
				t.Errorf("the view is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// checkShape draws and looks for lines that do not fit.
func checkShape(t *testing.T, m *model) string {
	t.Helper()
	lines := m.lines()
	if len(lines) > m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if n := ansi.StringWidth(line); n > m.width {
			t.Errorf("%d cells on a screen of %d: %q", n, m.width, line)
		}
		for _, r := range ansi.Strip(line) {
			if r < ' ' || r == '\u202e' {
				t.Errorf("control character %q in %q", r, line)
			}
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestEverySizeFits: whatever the window is, nothing is wider or higher, and no key panics.
func TestEverySizeFits(t *testing.T) {
	keys := []string{"tab", "j", "j", "enter", "space", "down", "end", "esc", "?", "x", "p", "shift+tab", "k", "enter", "pgup"}
	for _, s := range []func() *campaign.Status{oneRun, night, hostile, func() *campaign.Status { return &campaign.Status{} }} {
		for width := 0; width <= 130; width += 7 {
			for height := 0; height <= 50; height += 3 {
				m := frontier(at(s(), width, height))
				checkShape(t, m)
				for _, key := range keys {
					m.key(key)
					checkShape(t, m)
				}
			}
		}
	}
}

func TestSelectionStaysByName(t *testing.T) {
	m := at(night(), 80, 24)
	asked := ""
	m.ask = func(target string) { asked = target }
	if m.selected() != "object-01-program" {
		t.Errorf("%s is selected at first, want the first that runs", m.selected())
	}
	for range 5 {
		m.key("tab")
	}
	if m.selected() != "object-06-program" || asked != "object-06-program" {
		t.Errorf("%s is selected, asked about %s", m.selected(), asked)
	}
	for _, want := range []string{"newer", "k"} {
		newer := night()
		newer.Targets = newer.Targets[2:]
		newer.Targets[4].Findings = append([]campaign.FindingStatus{{Key: "newer"}}, newer.Targets[4].Findings...)
		m.show(newer)
		if m.selected() != "object-06-program" || m.target().Findings[m.finding].Key != want {
			t.Errorf("%s, %d are selected after a change, want finding %s", m.selected(), m.finding, want)
		}
		m.key("down") // from now on another one than the newest is meant
	}
	if view := ansi.Strip(checkShape(t, m)); !strings.Contains(view, "\n> object-06-program") {
		t.Errorf("the selected target is not in view:\n%s", view)
	}
	for range 7 {
		m.key("shift+tab")
	}
	if m.selected() != "object-21-program" {
		t.Errorf("%s is selected, want to go around", m.selected())
	}
	m.show(&campaign.Status{})
	if m.selected() != "" {
		t.Errorf("%s is selected of nothing", m.selected())
	}
	m.key("tab")
	m.key("enter")
}

func TestKeysThatStop(t *testing.T) {
	for _, key := range []string{"q", "ctrl+c"} {
		m := at(oneRun(), 80, 24)
		cmd := m.key(key)
		if cmd == nil || m.stopped != key {
			t.Fatalf("%s does not stop", key)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%s gives %v", key, cmd())
		}
	}
	m := at(oneRun(), 80, 24)
	m.key("enter")
	if cmd := m.key("q"); cmd != nil || m.report != nil || m.stopped != "" {
		t.Error("q in a report has to go back, not to stop")
	}
	m.key("enter")
	if m.key("ctrl+c"); m.stopped == "" {
		t.Error("ctrl-c in a report does not stop")
	}
	if cmd := at(oneRun(), 80, 24).key("ctrl+z"); cmd == nil {
		t.Error("ctrl-z does not suspend")
	}
}

func TestReportIsRead(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "line %d\tof the report\x1b[31m\n", i)
	}
	if err := os.WriteFile(filepath.Join(dir, "report.txt"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s := oneRun()
	s.Targets[0].Findings[0].Path = dir
	s.Targets[0].Findings[0].Command = "bpffuzz replay " + strings.Repeat("very/", 20) + "long"
	m := at(s, 60, 20)
	m.key("enter")
	view := checkShape(t, m)
	if joined := strings.ReplaceAll(ansi.Strip(view), "\n", ""); !strings.Contains(joined, strings.Repeat("very/", 20)+"long") {
		t.Errorf("the command is not there whole:\n%s", view)
	}
	m.key("end")
	if view := ansi.Strip(checkShape(t, m)); !strings.Contains(view, "line 99    of the report\uFFFD[31m") || strings.Contains(view, "line 50 ") {
		t.Errorf("the end of the report is\n%s", view)
	}
	m.key("esc")
	if view := ansi.Strip(checkShape(t, m)); !strings.Contains(view, "FINDINGS") {
		t.Errorf("back from the report there is\n%s", view)
	}
	s.Targets[0].Findings[0].Path = filepath.Join(dir, "gone")
	m.key("enter")
	if view := ansi.Strip(checkShape(t, m)); !strings.Contains(view, "reading the report: open") {
		t.Errorf("of a report that is gone there is\n%s", view)
	}
}

func TestOldFrontierIsBetterThanAnError(t *testing.T) {
	m := frontier(at(oneRun(), 80, 24))
	m.note(blockedMsg{"firewall", blocked{err: errors.New("busy")}})
	if view := ansi.Strip(checkShape(t, m)); !strings.Contains(view, "firewall.bpf.c:292") || strings.Contains(view, "busy") {
		t.Errorf("the view is\n%s", view)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 7: "7", 999: "999", 999.6: "1.00k", 1000: "1.00k", 9994: "9.99k", 9996: "10.0k", 99960: "100k", 999_400: "999k", 1_000_000: "1.00M", 2_412_345: "2.41M", 1e12: "1.00T", 5e18: "5000P",
	} {
		if got := short(n); got != want {
			t.Errorf("%g is %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", 3 * time.Hour: "3h", 47 * time.Hour: "47h", 50 * time.Hour: "2d",
	} {
		if got := age(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0:00", 67 * time.Second: "1:07", 3*time.Hour + 5*time.Second: "3:00:05", 100 * time.Hour: "100:00:00"} {
		if got := clock(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}
