package triage

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// assertView has only the map that assertions write to.
type assertView []byte

func (v assertView) Lookup(dst []byte, name string, key []byte) ([]byte, bool, error) {
	if name != corpus.AssertMap || len(key) != 4 {
		return nil, false, errors.New("another map")
	}
	return append(dst, v...), true, nil
}

func TestAssert(t *testing.T) {
	shape := &corpus.Shape{
		Maps: []corpus.MapShape{{Name: corpus.AssertMap, KeySize: 4, ValueSize: 8}},
		Assertions: []cover.Pos{
			{File: "lb.c", Line: 7, Text: "bpffuzz_assert(a);"},
			{File: "lb.c", Line: 9, Text: "bpffuzz_assert(b);"},
			{File: "nat.h", Line: 9, Text: "bpffuzz_assert(c);"},
		},
	}
	o := newAssert(shape)
	for _, test := range []struct {
		name  string
		lines [2]uint32
		want  string
	}{
		{"none", [2]uint32{}, ""},
		{"one", [2]uint32{7}, "the program's own assertion failed: bpffuzz_assert(a) at lb.c:7"},
		{"of the second file", [2]uint32{0, 9}, "the program's own assertion failed: bpffuzz_assert(b) at lb.c:9, or bpffuzz_assert(c) at nat.h:9"},
		{"unknown", [2]uint32{8}, "the program's own assertion failed: bpffuzz_assert on line 8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			view := make(assertView, 8)
			binary.NativeEndian.PutUint32(view, test.lines[0])
			binary.NativeEndian.PutUint32(view[4:], test.lines[1])
			got := ""
			if err := o.Judge(nil, &corpus.Outcome{Maps: view}); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	fine := &corpus.Outcome{Maps: make(assertView, 8)}
	if n := testing.AllocsPerRun(100, func() { _ = o.Judge(nil, fine) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// An assertion names a finding wherever the program goes after it.
func TestAssertKey(t *testing.T) {
	v := &investigation{oracle: "assert"}
	v.opts.Program = "prog"
	key := func(line int) string {
		err := newAssertError([]cover.Pos{{File: "a.c", Line: 3, Text: "x"}, {File: "a.c", Line: 4, Text: "y"}}, line)
		return v.keyOf(&Failure{Err: err}, &corpus.Outcome{})
	}
	if key(3) == key(4) {
		t.Errorf("both have the key %s", key(3))
	}
}
