package fuzztest

import (
	"bytes"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Compare judges what two programs made of one input. What Func says of goroutines and
// of keeping arguments holds here as well.
type Compare func(t *T, in *corpus.Input, a, b *corpus.Outcome)

// Diff makes a fuzz target of two programs that should do the same, such as a program
// and its next version. Every input that both take is run by both, and compare judges
// the outcomes; nil compares return values, errnos and packets. Methods of T tell of
// the first program. With -fuzz, each program guides the fuzzer for half of -fuzztime.
//
// Built-in oracles and invariants of both targets judge as well.
func Diff(f *testing.F, a, b Target, compare Compare) {
	f.Helper()
	if compare == nil {
		compare = sameOutcome
	}
	run(f, []Target{a, b}, nil, compare)
}

// sameOutcome is the Compare of those who give none.
func sameOutcome(t *T, _ *corpus.Input, a, b *corpus.Outcome) {
	for i := range min(len(a.Steps), len(b.Steps)) {
		x, y := &a.Steps[i], &b.Steps[i]
		switch {
		case x.Errno != y.Errno:
			t.Fatalf("step %d: errno %d (%v) and %d (%v)", i, x.Errno, x.Errno, y.Errno, y.Errno)
		case x.Errno != 0:
			continue // neither ran
		case x.Ret != y.Ret:
			t.Fatalf("step %d: the programs return %d (%s) and %d (%s)", i,
				x.Ret, t.shape.VerdictName(x.Ret), y.Ret, t.shape.VerdictName(y.Ret))
		case len(x.Packet) != len(y.Packet):
			t.Fatalf("step %d: the programs leave packets of %d and %d bytes", i, len(x.Packet), len(y.Packet))
		case !bytes.Equal(x.Packet, y.Packet):
			at := firstDifference(x.Packet, y.Packet)
			t.Fatalf("step %d: the packets differ from byte %d on: %#02x and %#02x", i, at, x.Packet[at], y.Packet[at])
		}
	}
}

// firstDifference returns where two strings of one length differ first.
func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// asFunc makes a Func of a Compare for executions of one program that have what the
// other one made of the input beside them.
func (compare Compare) asFunc(swapped bool) Func {
	return func(t *T, in *corpus.Input, out *corpus.Outcome) {
		switch {
		case t.twin == nil: // the other program does not take it
		case swapped:
			own := t.out
			t.out = t.twin
			compare(t, in, t.twin, own)
			t.out = own
		default:
			compare(t, in, out, t.twin)
		}
	}
}
