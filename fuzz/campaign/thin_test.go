package campaign

import (
	"fmt"
	"strings"
	"testing"
)

func plotOf(lines int) string {
	var b strings.Builder
	b.WriteString("time,edges\n")
	for i := range lines {
		fmt.Fprintf(&b, "%04d,1\n", i)
	}
	return b.String()
}

func TestThinPlot(t *testing.T) {
	for _, test := range []struct {
		name, table string
		limit       int64
		want        string
	}{
		{"no limit", plotOf(3), 0, plotOf(3)},
		{"within the limit", plotOf(3), 32, plotOf(3)},
		{"nothing", "", 1, ""},
		{"names alone", plotOf(0), 1, plotOf(0)},
		{"the first and the last line stay", plotOf(5), 1, "time,edges\n0000,1\n0004,1\n"},
		{"evenly", plotOf(7), 45, "time,edges\n0000,1\n0004,1\n0006,1\n"},
		{"a last line that is cut off", "a\n1\n2\n3", 6, "a\n1\n3"},
		{"the clock was set back", "a\n90\n91\n92\n5\n6\n7\n8\n", 18, "a\n90\n5\n8\n"},
		{"times that are none", "a\nx\ny\nz\n", 7, "a\nx\nz\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(ThinPlot([]byte(test.table), test.limit)); got != test.want {
				t.Errorf("ThinPlot = %q, want %q", got, test.want)
			}
		})
	}
}

// TestThinPlotOverTime adds lines for long: the table stays within its limit, is seldom
// made anew and still tells of the beginning.
func TestThinPlotOverTime(t *testing.T) {
	const limit = 4096
	table, thinned := []byte(plotOf(0)), 0
	const lines = 50_000
	for i := range lines {
		table = fmt.Appendf(table, "%d,1\n", i)
		before := len(table)
		if table = ThinPlot(table, limit); len(table) < before {
			thinned++
		}
		if len(table) > limit {
			t.Fatalf("%d bytes after line %d, the limit is %d", len(table), i, limit)
		}
	}
	if thinned == 0 || thinned > lines/50 {
		t.Errorf("made anew %d times with %d lines", thinned, lines)
	}
	var first, last int
	kept := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
	fmt.Sscan(strings.Split(kept[0], ",")[0], &first)
	fmt.Sscan(strings.Split(kept[len(kept)-1], ",")[0], &last)
	if first != 0 || last != lines-1 {
		t.Errorf("the table goes from line %d to line %d of %d", first, last, lines)
	}
}
