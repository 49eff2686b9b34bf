package triage

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// assertError is the failure of what a program asserts of itself. One assertion is one
// bug, however the program goes on afterwards.
type assertError struct{ place, text string }

func (e *assertError) Error() string { return e.text }

// site implements sited.
func (e *assertError) site() string { return e.place }

// asserts reports whether the program has assertions that are compiled in.
func asserts(shape *corpus.Shape) bool { return assertMap(shape) != nil }

func assertMap(shape *corpus.Shape) *corpus.MapShape {
	for i := range shape.Maps {
		if m := &shape.Maps[i]; m.Name == corpus.AssertMap && m.KeySize == 4 {
			return m
		}
	}
	return nil
}

// newAssert objects to runs in which an assertion of the program failed. A failing one is
// a branch that was not taken before, so each that fails for the first time is judged.
func newAssert(shape *corpus.Shape) Oracle {
	type buffer struct {
		key   [4]byte
		value []byte
	}
	size := assertMap(shape).ValueSize
	buffers := sync.Pool{New: func() any { return &buffer{value: make([]byte, size)} }}
	return Oracle{
		Name: "assert", Need: corpus.HaveMaps, When: Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			b := buffers.Get().(*buffer)
			defer buffers.Put(b)
			value, ok, err := out.Maps.Lookup(b.value[:0], corpus.AssertMap, b.key[:])
			if err != nil || !ok {
				return err
			}
			// A word for each file that was compiled.
			for ; len(value) >= 4; value = value[4:] {
				if line := int(binary.NativeEndian.Uint32(value)); line != 0 {
					return newAssertError(shape.Assertions, line)
				}
			}
			return nil
		},
	}
}

// newAssertError describes the assertion on a line; where several files have one there,
// all of them.
func newAssertError(assertions []cover.Pos, line int) *assertError {
	var places, texts []string
	for i := range assertions {
		if p := &assertions[i]; p.Line == line {
			places = append(places, fmt.Sprintf("%q %q", p.File, p.Text))
			texts = append(texts, fmt.Sprintf("%s at %s", strings.TrimSuffix(p.Text, ";"), p))
		}
	}
	if len(texts) == 0 { // of an object without lines
		places = []string{fmt.Sprint(line)}
		texts = []string{fmt.Sprintf("bpffuzz_assert on line %d", line)}
	}
	return &assertError{
		place: strings.Join(places, " "),
		text:  "the program's own assertion failed: " + strings.Join(texts, ", or "),
	}
}
