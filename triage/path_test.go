package triage

import (
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

func TestPath(t *testing.T) {
	table := &cover.Table{Probes: 3, Edges: []cover.Edge{{From: 0, Probe: 0}, {From: 1, Probe: 1}, {From: 2, Probe: 2}}}
	features := []byte{1, 0, 1, 0, 0, 0, 0, 0}
	for _, test := range []struct {
		name  string
		table *cover.Table
		out   corpus.Outcome
		want  []int
	}{
		{"by trace", table, corpus.Outcome{Cover: features, Trace: []int{2, 0}}, []int{2, 0}},
		{"foreign index", table, corpus.Outcome{Trace: []int{7, 1, -1}}, []int{1}},
		{"without trace", table, corpus.Outcome{Cover: features}, []int{0, 2}},
		{"without anything", table, corpus.Outcome{}, nil},
		{"without table", nil, corpus.Outcome{Trace: []int{1}}, nil},
	} {
		var got []int
		for _, e := range path(test.table, &test.out) {
			got = append(got, e.From)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestKeysWithoutTraceTellPathsApart(t *testing.T) {
	table := &cover.Table{Probes: 2, Edges: []cover.Edge{{Func: "f", To: 1, Probe: 0}, {Func: "f", From: 1, To: 2, Probe: 1}}}
	key := func(features ...byte) string {
		return newKey("verdict", "f", path(table, &corpus.Outcome{Cover: append(features, 0, 0, 0, 0, 0, 0)}))
	}
	if key(1, 0) == key(1, 1) {
		t.Error("two paths have one key")
	}
}
