package campaign

import (
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
)

func TestSum(t *testing.T) {
	first := fuzz.Stats{Elapsed: 10 * time.Second, Execs: 100, Found: 3, Corpus: 5, Newest: 2 * time.Second, Edges: 7, Total: 9, Failing: 4, Unconfirmed: 1, Solved: 2, Stability: 1}
	if got := Sum(fuzz.Stats{}, first); got != first {
		t.Errorf("the first turn alone is %+v", got)
	}
	// A turn that begins has its corpus and edges only once the seeds were tried.
	second := fuzz.Stats{Elapsed: 5 * time.Second, Execs: 10, Corpus: 5, Newest: 4 * time.Second, Edges: 7, Total: 9, Failing: 1, Stability: 0.5}
	want := fuzz.Stats{Elapsed: 15 * time.Second, Execs: 110, Found: 3, Corpus: 5, Newest: 7 * time.Second, Edges: 7, Total: 9, Failing: 5, Unconfirmed: 1, Solved: 2, Stability: 0.5}
	if got := Sum(first, second); got != want {
		t.Errorf("nothing found in the second turn: %+v, want %+v", got, want)
	}
	second.Found, second.Newest = 1, time.Second
	if got := Sum(first, second); got.Newest != time.Second || got.Found != 4 {
		t.Errorf("found in the second turn: %+v", got)
	}
	second.Edges, second.Corpus = 2, 3
	if got := Sum(first, second); got.Edges != 7 || got.Corpus != 5 {
		t.Errorf("before the corpus ran again: %+v", got)
	}
	second.Total = 4
	if got := Sum(first, second); got.Edges != 2 || got.Corpus != 3 {
		t.Errorf("after another build: %+v", got)
	}
}
