package triage

import (
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// A summary names what the context of an input has, and what the run changed.
func TestSummaryNamesFields(t *testing.T) {
	fields := []corpus.Field{{Name: "a", Offset: 0, Size: 1}, {Name: "port", Offset: 2, Size: 2, Big: true}, {Name: "c", Offset: 4, Size: 1}}
	shape := &corpus.Shape{Type: "syscall", Context: fields, Output: fields, NoResult: true}
	in := &corpus.Input{Steps: []corpus.Step{{Context: []byte{7, 0, 0, 53, 0}}, {}}}
	out := &corpus.Outcome{Steps: []corpus.StepOutcome{{Context: []byte{7, 0, 0, 54, 9}}, {Context: []byte{1}}}}
	steps := summarise(shape, in, out)
	for i, want := range []struct{ given, gave []FieldValue }{
		{[]FieldValue{{"a", 7}, {"port", 53}}, []FieldValue{{"port", 54}, {"c", 9}}},
		{nil, []FieldValue{{"a", 1}}},
	} {
		if s := steps[i]; !slices.Equal(s.Given, want.given) || !slices.Equal(s.Gave, want.gave) || !s.NoResult {
			t.Errorf("step %d: given %v, gave %v, no result %t; want %+v", i, s.Given, s.Gave, s.NoResult, want)
		}
	}
}
