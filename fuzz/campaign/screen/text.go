package screen

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Styles use the terminal's own sixteen colours, so that its theme applies, and none says
// anything that words do not say as well.
var (
	plain   = ansi.NewStyle()
	bold    = ansi.NewStyle().Bold()
	faint   = ansi.NewStyle().Faint()
	heading = ansi.NewStyle().Bold().ForegroundColor(ansi.Cyan)
	alarm   = ansi.NewStyle().Bold().ForegroundColor(ansi.Red)
	caution = ansi.NewStyle().ForegroundColor(ansi.Yellow)
	good    = ansi.NewStyle().ForegroundColor(ansi.Green)
	chosen  = ansi.NewStyle().Reverse(true)
)

// clean makes foreign text one line that a terminal shows as it is.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

// fit cuts text to width cells, with an ellipsis where something is cut off.
func fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	return ansi.Truncate(text, width, "…")
}

// fitLeft cuts off the front: of a place in the source the line comes last.
func fitLeft(text string, width int) string {
	if over := ansi.StringWidth(text) - width; over > 0 {
		return ansi.TruncateLeft(text, over+1, "…")
	}
	return text
}

// pad makes text width cells wide: cut, or with space behind it.
func pad(text string, width int) string {
	text = fit(text, width)
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// padLeft is pad with the space in front, for numbers.
func padLeft(text string, width int) string {
	text = fit(text, width)
	return strings.Repeat(" ", max(width-ansi.StringWidth(text), 0)) + text
}

// spread puts left and right at the ends of a line of width cells; where both have no
// room, right has none.
func spread(left, right string, width int) string {
	room := width - ansi.StringWidth(left) - ansi.StringWidth(right)
	if room < 1 {
		return fit(left, width)
	}
	return left + strings.Repeat(" ", room) + right
}

// short writes a number with three or four digits: 987, 12.3k, 4.56M.
func short(n float64) string {
	units := []string{"", "k", "M", "G", "T", "P"}
	i := 0
	for n >= 999.5 && i < len(units)-1 {
		n, i = n/1000, i+1
	}
	switch {
	case i == 0:
		return fmt.Sprintf("%.0f", n)
	case n < 9.995:
		return fmt.Sprintf("%.2f%s", n, units[i])
	case n < 99.95:
		return fmt.Sprintf("%.1f%s", n, units[i])
	}
	return fmt.Sprintf("%.0f%s", n, units[i])
}

// age writes how long ago something was in one unit: 5s, 12m, 3h, 2d.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// clock writes how long something has been going on: 0:07, 12:03, 3:12:03.
func clock(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
