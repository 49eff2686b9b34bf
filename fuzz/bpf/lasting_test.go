package bpf

import (
	"slices"
	"testing"
)

// What cannot be put back is in the shape, for triage, and in the notes, for people.
func TestLastingMapsAreNamed(t *testing.T) {
	for program, want := range map[string][]string{
		"plain":  nil,
		"state":  {"map lru_hash (order of an LRU)", "map full_lru (order of an LRU)"},
		"blooms": {"map bloom (bits of a bloom filter)"},
	} {
		target := newState(t, program, Setup{})
		if got := target.Shape().Lasts(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", program, got, want)
		}
		for _, what := range want {
			note := what + " cannot be put back after a run: programs and maps are made anew before a failure is confirmed"
			if !slices.Contains(target.Notes(), note) {
				t.Errorf("%s: notes %q lack %q", program, target.Notes(), note)
			}
		}
	}
}
