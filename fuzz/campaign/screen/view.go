package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// The least that is drawn: below that, numbers would be cut in ways that mislead.
const (
	leastWidth  = 30
	leastHeight = 6
)

// lines draws the screen: as many lines as it is high, none wider than it is.
func (m *model) lines() []string {
	if m.width < leastWidth || m.height < leastHeight {
		return []string{fit("too small a window", m.width)}[:min(m.height, 1)]
	}
	var body []string
	switch {
	case m.help:
		body = helpLines(m.width)
	case m.report != nil:
		return m.report.lines(m.width, m.height)
	default:
		body = m.overview(m.height - 2)
	}
	lines := append([]string{m.header()}, body[:min(len(body), m.height-2)]...)
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines, m.footer())
}

// header says what this is and how it goes on the whole.
func (m *model) header() string {
	s := m.status
	title := clean(cmp.Or(s.Title, "bpffuzz"))
	if s.Mode != "" {
		title += " (" + clean(s.Mode) + ")"
	}
	rate, execs := 0.0, uint64(0)
	for i := range s.Targets {
		rate += s.Targets[i].Rate
		execs += s.Targets[i].Stats.Execs
	}
	parts := []string{count(s.Workers, "worker"), short(float64(execs)) + " execs", short(rate) + "/s"}
	if !s.Started.IsZero() {
		parts = append(parts, clock(m.now().Sub(s.Started)))
	}
	for len(parts) > 1 && len(strings.Join(parts, ", "))+len(title)+1 > m.width {
		parts = parts[1:]
	}
	return spread(bold.Styled(fit(title, m.width)), strings.Join(parts, ", "), m.width)
}

func (m *model) footer() string {
	keys := "q stop  ? help"
	if len(m.status.Targets) > 1 {
		keys = "q stop  tab target  ? help"
	}
	if t := m.target(); t != nil && len(t.Findings) > 0 {
		keys = strings.Replace(keys, "  ? help", "  ↑↓ finding  enter report  ? help", 1)
	}
	return faint.Styled(fit(keys, m.width))
}

// overview has what is stuck and what moves first: it is what one can do something about.
func (m *model) overview(height int) []string {
	sections := []section{m.blockedSection(), m.gainSection(), m.targetSection(), m.findingSection()}
	if notices := m.noticeSection(); len(notices.lines) > 0 {
		sections = append(sections, notices)
	}
	return lay(sections, height)
}

func (m *model) title(text, right string) string {
	return spread(heading.Styled(fit(text, m.width)), faint.Styled(right), m.width)
}

// of names the selected target where there are several.
func (m *model) of(text string) string {
	if t := m.target(); t != nil && len(m.status.Targets) > 1 {
		return text + " of " + clean(t.Name)
	}
	return text
}

func (m *model) blockedSection() section {
	s := section{title: m.title(m.of("BLOCKED"), "nearest first"), least: 1, share: 5}
	b := m.blocked[m.selected()]
	switch {
	case b == nil || (b.err == nil && !b.known):
		s.lines = []string{faint.Styled(fit("  looking for branches that no input takes", m.width))}
	case b.err != nil:
		s.lines = []string{faint.Styled(fit("  "+clean(b.err.Error()), m.width))}
	default:
		for i := range b.list {
			if !b.list[i].Unreachable {
				s.lines = append(s.lines, blockedLine(&b.list[i], m.width))
			}
		}
		if len(s.lines) == 0 {
			s.lines = []string{good.Styled(fit("  nothing: every edge that can be reached was passed", m.width))}
		}
	}
	return s
}

func blockedLine(b *campaign.Blocked, width int) string {
	room := width * 2 / 5
	line := "  " + pad(fitLeft(clean(b.Where), room), room) + " "
	switch {
	case !b.Reached:
		return faint.Styled(fit(line+"no input comes by", width))
	case b.Wanted == "":
		return fit(line+"never taken", width)
	}
	line += clean(b.Wanted)
	if b.Nearest != "" {
		line += faint.Styled("  nearest: " + clean(b.Nearest))
	}
	return fit(line, width)
}

// gainSection has the last new edges of all targets.
func (m *model) gainSection() section {
	s := section{title: m.title("LAST FINDS", "newest first"), least: 1, share: 4}
	type find struct {
		campaign.Gain
		target string
	}
	var all []find
	for i := range m.status.Targets {
		t := &m.status.Targets[i]
		for _, g := range t.Gains {
			all = append(all, find{g, t.Name})
		}
	}
	slices.SortStableFunc(all, func(a, b find) int { return b.At.Compare(a.At) })
	for _, g := range all {
		line := fmt.Sprintf("  %4s ago  ", age(m.now().Sub(g.At)))
		if len(m.status.Targets) > 1 {
			line += pad(clean(g.target), min(24, m.width/4)) + "  "
		}
		line += fmt.Sprintf("%-9s  %s", "+"+count(g.Edges, "edge"), clean(g.Where))
		s.lines = append(s.lines, fit(line, m.width))
	}
	if len(s.lines) == 0 {
		s.lines = []string{faint.Styled(fit("  no new edge yet, beyond those of the seeds", m.width))}
	}
	return s
}

// targetSection is the table, a row for each target and a line where it has a problem.
func (m *model) targetSection() section {
	all := columnsFor(m.width)
	s := section{title: tableTitle(all, m.width), least: min(len(m.status.Targets), 4)}
	for i := range m.status.Targets {
		t := &m.status.Targets[i]
		if i == m.at {
			s.focus = len(s.lines)
		}
		s.lines = append(s.lines, row(all, t, m.now(), m.width, i == m.at && len(m.status.Targets) > 1))
		if t.Problem != "" {
			s.lines = append(s.lines, caution.Styled(fit("    "+clean(t.Problem), m.width)))
		}
	}
	return s
}

// findingSection has the findings of the selected target with what replays them.
func (m *model) findingSection() section {
	s := section{least: 1, share: 6}
	t := m.target()
	total := 0
	for i := range m.status.Targets {
		total += len(m.status.Targets[i].Findings)
	}
	right := ""
	if len(m.status.Targets) > 1 {
		right = fmt.Sprintf("%d in all targets", total)
	}
	s.title = m.title(m.of("FINDINGS"), right)
	if t == nil || len(t.Findings) == 0 {
		s.lines = []string{faint.Styled(fit("  none", m.width))}
		return s
	}
	for i := range t.Findings {
		if i == m.finding {
			s.focus = len(s.lines)
		}
		s.lines = append(s.lines, findingLines(&t.Findings[i], m.width, i == m.finding)...)
	}
	return s
}

func findingLines(f *campaign.FindingStatus, width int, selected bool) []string {
	mark, style := "  ", plain
	switch {
	case f.New && !f.Known:
		style = alarm
	case f.Known:
		style = faint
	}
	if selected {
		mark, style = "> ", chosen
	}
	text := clean(f.Kind) + ": " + clean(f.Title)
	switch {
	case f.Known:
		text = "(known) " + text
	case f.New:
		text = "(new) " + text
	}
	lines := []string{style.Styled(fit(mark+text, width))}
	if f.Command != "" {
		lines = append(lines, fit("    "+clean(f.Command), width))
	}
	return lines
}

func (m *model) noticeSection() section {
	s := section{title: m.title("NOTICES", ""), least: 1}
	for _, n := range m.status.Notices {
		style := plain
		if n.Warning {
			style = caution
		}
		text := clean(n.Text)
		if n.Target != "" {
			text = clean(n.Target) + ": " + text
		}
		s.lines = append(s.lines, fit("  "+faint.Styled(n.At.Format(time.TimeOnly))+"  "+style.Styled(text), m.width))
	}
	return s
}

func helpLines(width int) []string {
	var lines []string
	for _, text := range []string{
		"",
		"q, ctrl-c     stop in order; ctrl-c once more stops at once",
		"tab, →, n     next target            shift-tab, ←, p   previous target",
		"↓, j  ↑, k    next and previous finding of the target",
		"enter         the finding's report; esc goes back",
		"ctrl-z        suspend; fg goes on",
		"ctrl-l        draw again",
		"?             this, and back",
		"",
		"BLOCKED are branches that no input takes: what would have to be true there, and what came " +
			"nearest. LAST FINDS are inputs that passed new edges. NEWEST is how long a target has run " +
			"since its last find, FOUND how many findings it has, new ones behind a plus.",
	} {
		lines = append(lines, strings.Split(ansi.Wrap(text, width, ""), "\n")...)
	}
	return lines
}
