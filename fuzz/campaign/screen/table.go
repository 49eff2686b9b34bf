package screen

import (
	"fmt"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// column is one of the table of targets. The name has what room the others leave.
type column struct {
	title string
	width int
	// rank is what goes first where there is no room for all: the highest.
	rank int
	cell func(now time.Time, t *campaign.TargetStatus) string
}

func columns() []column {
	return []column{
		{"STATE", 8, 4, func(_ time.Time, t *campaign.TargetStatus) string { return stateText(t) }},
		{"EXECS/S", 8, 1, func(_ time.Time, t *campaign.TargetStatus) string { return rateText(t) }},
		{"EDGES", 11, 0, func(_ time.Time, t *campaign.TargetStatus) string {
			return fmt.Sprintf("%d/%d", t.Stats.Edges, t.Stats.Total)
		}},
		{"COVER", 6, 5, func(_ time.Time, t *campaign.TargetStatus) string { return coverText(t) }},
		{"CORPUS", 7, 3, func(_ time.Time, t *campaign.TargetStatus) string { return short(float64(t.Stats.Corpus)) }},
		{"NEWEST", 7, 2, newestText},
		{"FOUND", 6, 0, func(_ time.Time, t *campaign.TargetStatus) string { return foundText(t) }},
	}
}

// leastName is how wide a target's name is at least.
const leastName = 12

// columnsFor leaves out columns, the highest rank first, until all fit.
func columnsFor(width int) []column {
	all := columns()
	for rank := 5; rank > 0; rank-- {
		if tableWidth(all) <= width {
			break
		}
		for i := range all {
			if all[i].rank == rank {
				all = append(all[:i], all[i+1:]...)
				break
			}
		}
	}
	return all
}

// tableWidth is that of the columns with the shortest name and the mark before it.
func tableWidth(all []column) int {
	width := 2 + leastName
	for _, c := range all {
		width += 1 + c.width
	}
	return width
}

func stateText(t *campaign.TargetStatus) string {
	if t.State == campaign.Waiting {
		return "waiting"
	}
	return string(t.State)
}

func rateText(t *campaign.TargetStatus) string {
	if t.State != campaign.Running {
		return "-"
	}
	return short(t.Rate)
}

func coverText(t *campaign.TargetStatus) string {
	if t.Stats.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(t.Stats.Edges)/float64(t.Stats.Total))
}

// newestText is how long the target has run without an input that reaches something new.
func newestText(_ time.Time, t *campaign.TargetStatus) string {
	if t.Stats.Corpus == 0 {
		return "-"
	}
	return age(t.Stats.Newest)
}

// foundText counts findings, those that are new and not known behind a plus.
func foundText(t *campaign.TargetStatus) string {
	if n := fresh(t); n > 0 {
		return fmt.Sprintf("%d+%d", len(t.Findings)-n, n)
	}
	return fmt.Sprint(len(t.Findings))
}

// fresh counts the findings of this process that nobody marked as known.
func fresh(t *campaign.TargetStatus) int {
	n := 0
	for i := range t.Findings {
		if f := &t.Findings[i]; f.New && !f.Known {
			n++
		}
	}
	return n
}

// tableTitle is the table's first line.
func tableTitle(all []column, width int) string {
	line := "TARGETS"
	line = pad(line, nameWidth(all, width)+2)
	for _, c := range all {
		line += " " + padLeft(c.title, c.width)
	}
	return heading.Styled(fit(line, width))
}

func nameWidth(all []column, width int) int { return max(leastName, width-tableWidth(all)+leastName) }

// row is a target's line.
func row(all []column, t *campaign.TargetStatus, now time.Time, width int, selected bool) string {
	mark, style := "  ", plain
	switch {
	case t.State == campaign.Failed:
		style = caution
	case fresh(t) > 0:
		style = alarm
	case t.State != campaign.Running:
		style = faint
	}
	if selected {
		mark, style = "> ", chosen
	}
	line := mark + pad(clean(t.Name), nameWidth(all, width))
	for _, c := range all {
		line += " " + padLeft(c.cell(now, t), c.width)
	}
	return style.Styled(fit(line, width))
}
