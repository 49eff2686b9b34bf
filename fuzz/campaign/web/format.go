package web

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// functions are what pages write numbers and addresses with.
func functions() template.FuncMap {
	return template.FuncMap{
		"grouped": grouped, "short": short, "percent": percent, "span": span, "clock": clock, "stamp": stamp,
		"state": stateName, "targetURL": targetURL, "findingURL": findingURL, "rowsOf": rowsOf, "times100": func(f float64) float64 { return 100 * f }, "plural": plural, "dict": dict,
	}
}

// number is any number of a Status; exact up to 2^53.
func number(n any) float64 {
	switch n := n.(type) {
	case int:
		return float64(n)
	case uint64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

// grouped writes a whole number with thin spaces between thousands.
func grouped(n any) string {
	digits := strconv.FormatFloat(max(number(n), 0), 'f', 0, 64)
	var s strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			s.WriteRune('\u202f')
		}
		s.WriteRune(c)
	}
	return s.String()
}

// short writes a number with three digits or so: 1.24 M.
func short(n any) string {
	f := number(n)
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if f < 0.9995*unit.size {
			continue
		}
		f /= unit.size
		return strconv.FormatFloat(f, 'f', max(0, 3-len(strconv.Itoa(int(f)))), 64) + "\u202f" + unit.name
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// percent is a share of a whole, "–" of nothing.
func percent(part, whole int) string {
	if whole <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f\u202f%%", 100*float64(part)/float64(whole))
}

// span writes a time with two units at most: "2 h 05 m".
func span(d time.Duration) string {
	d = max(d, 0)
	switch s := int(d.Seconds()); {
	case s < 60:
		return fmt.Sprintf("%d\u202fs", s)
	case s < 60*60:
		return fmt.Sprintf("%d\u202fm %02d\u202fs", s/60, s%60)
	case s < 24*60*60:
		return fmt.Sprintf("%d\u202fh %02d\u202fm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%d\u202fd %02d\u202fh", s/86400, s/3600%24)
	}
}

// clock writes a moment for people, in the time of the machine that fuzzes.
func clock(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "–"
	case t.Local().Format(time.DateOnly) == now.Local().Format(time.DateOnly):
		return t.Local().Format(time.TimeOnly)
	}
	return t.Local().Format("2006-01-02 15:04")
}

// stamp writes a moment for machines.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func stateName(s campaign.State) string {
	if s == campaign.Waiting {
		return "waiting"
	}
	return string(s)
}

func targetURL(target string) string { return "/targets/" + url.PathEscape(target) }

func findingURL(target, key string) string {
	return targetURL(target) + "/findings/" + url.PathEscape(key)
}

// plural writes "1 edge", "2 edges".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// dict has a part of a page be given several values by name.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict of %d values: they have to be pairs", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
