package main

import (
	"fmt"
	"strings"
	"testing"
)

// What is said while something else has the terminal is said later, and told at once to
// those who watch.
func TestLinesAreHeldBack(t *testing.T) {
	var said strings.Builder
	var noted []string
	u := &ui{stderr: &said}
	u.note(func(_, text string, warning bool) { noted = append(noted, fmt.Sprint(text, " ", warning)) })
	left := 0
	u.hold(func() { left++; u.release() })
	u.say("first")
	u.warn("second")
	if u.progress("third") {
		t.Error("progress was said")
	}
	if said.Len() > 0 {
		t.Errorf("said %q while it was held back", said.String())
	}
	u.reclaim()
	u.reclaim()
	u.say("fourth\a")
	if !u.progress("fifth") {
		t.Error("progress was not said")
	}
	const want = "bpffuzz: first\nbpffuzz: warning: second\nbpffuzz: fourth\uFFFD\nbpffuzz: fifth\n"
	if said.String() != want || left != 1 {
		t.Errorf("said %q, want %q; left %d times", said.String(), want, left)
	}
	if got := strings.Join(noted, ", "); got != "first false, warning: second true, fourth\uFFFD false" {
		t.Errorf("noted %s", got)
	}
}

func TestHeldLinesAreBounded(t *testing.T) {
	var said strings.Builder
	u := &ui{stderr: &said}
	u.hold(nil)
	for i := range maxHeld + 5 {
		u.say("line %d", i)
	}
	u.release()
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != maxHeld+1 || lines[0] != "bpffuzz: 5 lines before the following ones are left out" || lines[1] != "bpffuzz: line 5" {
		t.Errorf("%d lines, the first are %q", len(lines), lines[:2])
	}
}
