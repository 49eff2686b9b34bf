package exchange

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// spoil puts a corrupt message where the n-th entry is announced.
func spoil(t *testing.T, n *Node, l *Lane, entry, try int) {
	t.Helper()
	h := hashOf(corpus.Encode(input(entry)))
	if _, err := n.js.Publish(t.Context(), corpusSubject+l.topic+"."+h.name(try), []byte("not that")); err != nil {
		t.Fatal(err)
	}
}

// TestSpoiledSubject: a corrupt message does not keep out the entry whose subject it took,
// whether that entry is found before it comes, after it, or by a later run.
func TestSpoiledSubject(t *testing.T) {
	one := open(t, "one", Options{})
	dir := t.TempDir()
	two := open(t, "two", Options{URLs: []string{one.URL()}, Dir: dir})
	l := join(t, two)
	for entry := range 4 {
		spoil(t, one, l, entry, 0)
	}
	spoil(t, one, l, 1, 1)
	l.Keep(input(0)) // perhaps before the corrupt message is here, perhaps not
	until(t, "corrupt messages are counted", func() bool { return l.Counts().Corrupt == 5 })
	l.Keep(inputs(1, 3)...)
	until(t, "everything is announced", l.Settled)
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	l = join(t, open(t, "two", Options{URLs: []string{one.URL()}, Dir: dir}), inputs(0, 4)...)
	until(t, "everything is announced", l.Settled)
	if got := l.Counts(); got.Announced != 1 || got.Queued > 0 {
		t.Errorf("the second run announced %+v, want one entry", got)
	}
	late := join(t, open(t, "late", Options{URLs: []string{one.URL()}}))
	(&engine{late, map[int]int{}}).untilRan(t, 4, none)
}

// TestAllSpoiled: somebody who takes every subject of an entry has it not shared, and
// nothing else.
func TestAllSpoiled(t *testing.T) {
	one := open(t, "one", Options{})
	l := join(t, open(t, "two", Options{URLs: []string{one.URL()}}), input(0))
	until(t, "the entry is announced", func() bool { return l.Counts().Announced == 1 })
	for try := range tries {
		spoil(t, one, l, 1, try)
	}
	until(t, "corrupt messages are counted", func() bool { return l.Counts().Corrupt == tries })
	l.Keep(input(1), input(2))
	until(t, "everything is announced", l.Settled)
	if got := l.Counts(); got.Announced != 2 || got.Unshared != 1 {
		t.Errorf("of three entries the lane shared %+v", got)
	}
}

func TestNames(t *testing.T) {
	h := hashOf([]byte("x"))
	for _, word := range []string{"", "-1", "zz", h.String()[2:], h.String() + "-", h.String() + "-0", h.String() + "-01", h.String() + "--1", h.String() + "-4", h.String() + "-1-1"} {
		if got, try, ok := parseName(word); ok {
			t.Errorf("%q is taken for %v, try %d", word, got, try)
		}
	}
	for try := range tries {
		if got, n, ok := parseName(h.name(try)); !ok || got != h || n != try {
			t.Errorf("%q is taken for %v, try %d, %t", h.name(try), got, n, ok)
		}
	}
}
