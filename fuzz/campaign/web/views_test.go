package web

import (
	"slices"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 999: "999", 999.7: "1.00\u202fk", 1234: "1.23\u202fk", 12_345: "12.3\u202fk", 999_400: "999\u202fk", 999_600: "1.00\u202fM",
		1e6: "1.00\u202fM", 2.5e9: "2.50\u202fG", 7e12: "7.00\u202fT", 7e15: "7000\u202fT",
	} {
		if got := short(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := percent(1, 0); got != "–" {
		t.Errorf("a share of nothing is %q", got)
	}
	for d, want := range map[time.Duration]string{
		-1: "0\u202fs", 59 * time.Second: "59\u202fs", 61 * time.Second: "1\u202fm 01\u202fs", 3*time.Hour + 5*time.Minute: "3\u202fh 05\u202fm", 49 * time.Hour: "2\u202fd 01\u202fh",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func points(corpus map[time.Duration]int) (list []campaign.Point) {
	for at, n := range corpus {
		list = append(list, campaign.Point{At: at, Corpus: n, Edges: n})
	}
	slices.SortFunc(list, func(a, b campaign.Point) int { return int(a.At - b.At) })
	return list
}

func TestCorpusAges(t *testing.T) {
	for name, test := range map[string]struct {
		corpus map[time.Duration]int
		want   []age
	}{
		"nothing": {nil, nil},
		"seeds":   {map[time.Duration]int{time.Second: 5}, []age{{"last minute", 0, 0}, {"at the start", 5, 20}}},
		"an hour": {
			map[time.Duration]int{0: 4, time.Minute: 10, 50 * time.Minute: 13, time.Hour - time.Second: 14, time.Hour: 14},
			[]age{{"last minute", 1, 3}, {"1 to 10 minutes ago", 0, 0}, {"10 to 60 minutes ago", 9, 20}, {"at the start", 4, 9}},
		},
		"chosen anew": {map[time.Duration]int{0: 8, time.Second: 3, 2 * time.Second: 9}, []age{{"last minute", 1, 3}, {"at the start", 8, 20}}},
	} {
		if got := corpusAges(points(test.corpus)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestSpark(t *testing.T) {
	if got := spark(points(map[time.Duration]int{0: 1})); got != "" {
		t.Errorf("a line of one point: %q", got)
	}
	if got := spark(points(map[time.Duration]int{0: 1, time.Second: 2, 2 * time.Second: 3})); got != "0.0,22.0 60.0,12.0 120.0,2.0" {
		t.Errorf("a line upwards: %q", got)
	}
	if got := spark(points(map[time.Duration]int{0: 7, time.Second: 7})); got != "0.0,12.0 120.0,12.0" {
		t.Errorf("a flat line: %q", got)
	}
}
