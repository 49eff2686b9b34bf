package fuzztest

import (
	"testing"
	"time"
)

func TestReadLimit(t *testing.T) {
	for text, want := range map[string]limit{
		"":      {},
		"0s":    {},
		"1m30s": {time: 90 * time.Second},
		"1000x": {execs: 1000},
	} {
		if got, err := readLimit(text); err != nil || got != want {
			t.Errorf("%q: %+v, error %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-1x", "1.5x", "ten", "10"} {
		if got, err := readLimit(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

func TestShare(t *testing.T) {
	for _, test := range []struct {
		whole limit
		n     int
		want  limit
	}{
		{limit{time: time.Minute}, 3, limit{time: 20 * time.Second}},
		{limit{execs: 10}, 4, limit{execs: 2}},
		{limit{execs: 1}, 4, limit{execs: 1}},
		{limit{}, 2, limit{}},
	} {
		if got := test.whole.share(test.n); got != test.want {
			t.Errorf("a share of %d of %+v is %+v, want %+v", test.n, test.whole, got, test.want)
		}
	}
}
