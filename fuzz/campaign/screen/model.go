package screen

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// model is what the screen shows and what was chosen on it.
type model struct {
	status        *campaign.Status
	blocked       map[string]*blocked // by target
	now           func() time.Time
	width, height int

	at, finding int // of the selected target, and of its selected finding
	help        bool
	report      *report // nil unless one is read
	stopped     string  // the key that ended it, "" until then
	ask         func(target string)
}

// blocked is what is known of a target's frontier.
type blocked struct {
	list  []campaign.Blocked
	err   error
	known bool
}

// Messages that the screen's goroutines send.
type (
	statusMsg  struct{ *campaign.Status }
	blockedMsg struct {
		target string
		blocked
	}
	tickMsg struct{}
)

func newModel(status *campaign.Status, now func() time.Time) *model {
	return &model{status: status, now: now, blocked: map[string]*blocked{}, width: 80, height: 24, ask: func(string) {}}
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return tick() }

// tick has ages move while nothing happens.
func tick() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} }) }

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case statusMsg:
		m.show(msg.Status)
	case blockedMsg:
		m.note(msg)
	case tickMsg:
		return m, tick()
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

// show takes a newer status. What is selected stays so, by name, but the newest finding is
// the newest one.
func (m *model) show(s *campaign.Status) {
	target, key := m.selected(), ""
	if t := m.target(); t != nil && m.finding > 0 && m.finding < len(t.Findings) {
		key = t.Findings[m.finding].Key
	}
	first := len(m.status.Targets) == 0
	m.status = s
	m.at = indexOf(s.Targets, func(t *campaign.TargetStatus) bool { return t.Name == target })
	if first {
		m.at = indexOf(s.Targets, func(t *campaign.TargetStatus) bool { return t.State == campaign.Running })
	}
	m.finding = 0
	if t := m.target(); t != nil && t.Name == target && key != "" {
		m.finding = indexOf(t.Findings, func(f *campaign.FindingStatus) bool { return f.Key == key })
	}
	m.ask(m.selected())
}

// indexOf returns the index of the first that is meant, 0 if none is.
func indexOf[T any](all []T, is func(*T) bool) int {
	for i := range all {
		if is(&all[i]) {
			return i
		}
	}
	return 0
}

// note takes an answer about a frontier. An older answer is better than an error.
func (m *model) note(msg blockedMsg) {
	if old := m.blocked[msg.target]; msg.err != nil && old != nil && old.known {
		return
	}
	b := msg.blocked
	m.blocked[msg.target] = &b
}

// target returns the selected one, nil while there is none.
func (m *model) target() *campaign.TargetStatus {
	if m.at >= len(m.status.Targets) {
		return nil
	}
	return &m.status.Targets[m.at]
}

func (m *model) selected() string {
	if t := m.target(); t != nil {
		return t.Name
	}
	return ""
}

// key does what a key stands for.
func (m *model) key(key string) tea.Cmd {
	switch key {
	case "ctrl+c":
		return m.stop(key)
	case "ctrl+z":
		return tea.Suspend
	case "ctrl+l":
		return tea.ClearScreen
	}
	if m.report != nil {
		m.reportKey(key)
		return nil
	}
	if m.help {
		m.help = false
		return nil
	}
	switch key {
	case "q":
		return m.stop(key)
	case "?", "h":
		m.help = true
	case "tab", "right", "n":
		m.move(1)
	case "shift+tab", "left", "p":
		m.move(-1)
	case "down", "j":
		m.pick(1)
	case "up", "k":
		m.pick(-1)
	case "enter":
		if t := m.target(); t != nil && m.finding < len(t.Findings) {
			m.report = openReport(&t.Findings[m.finding])
		}
	}
	return nil
}

func (m *model) stop(key string) tea.Cmd {
	m.stopped = key
	return tea.Quit
}

// move selects another target, the first one behind the last.
func (m *model) move(by int) {
	if n := len(m.status.Targets); n > 0 {
		m.at, m.finding = (m.at+by+n)%n, 0
		m.ask(m.selected())
	}
}

// pick selects another finding of the target.
func (m *model) pick(by int) {
	if t := m.target(); t != nil {
		m.finding = max(0, min(m.finding+by, len(t.Findings)-1))
	}
}

func (m *model) reportKey(key string) {
	switch key {
	case "esc", "q", "left", "backspace":
		m.report = nil
	case "down", "j", "enter":
		m.report.scroll(1)
	case "up", "k":
		m.report.scroll(-1)
	case "space", "pgdown", "f", "ctrl+f":
		m.report.scroll(m.report.page)
	case "pgup", "b", "ctrl+b":
		m.report.scroll(-m.report.page)
	case "home", "g":
		m.report.scroll(-len(m.report.wrapped))
	case "end", "G":
		m.report.scroll(len(m.report.wrapped))
	}
}
