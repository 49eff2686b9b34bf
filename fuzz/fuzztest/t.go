package fuzztest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// T is what a Func reports to. In a plain go test it wraps the subtest's *testing.T.
// While fuzzing it is reused for all executions of a worker: Fatal, Skip and a panic
// end one execution, and nothing allocates as long as nothing fails. It must not be
// used after the Func returned, nor FailNow and SkipNow from another goroutine.
//
// Setenv and Chdir do not work while fuzzing, since workers share a process.
type T struct {
	testing.TB
	shape   *corpus.Shape
	in      *corpus.Input
	out     *corpus.Outcome
	twin    *corpus.Outcome   // of the other program of Diff
	require func(corpus.Have) // called with what the outcome has to have
	scratch []byte
}

// Func judges one execution: it reports to t what is wrong with the outcome. In and
// out belong to the engine, which writes the next execution there: a Func must
// neither change nor keep them. It is called from as many goroutines at once as there
// are workers (-parallel), so what it shares with other calls needs a lock.
type Func func(t *T, in *corpus.Input, out *corpus.Outcome)

// Program returns the name of the program that ran.
func (t *T) Program() string { return t.shape.Program }

// Verdict returns the name of the return value of a step, as "XDP_PASS"; "" for a
// value without a name, a step that did not run, and one that is not there.
func (t *T) Verdict(step int) string {
	if step < 0 || step >= len(t.out.Steps) || t.out.Steps[step].Errno != 0 {
		return ""
	}
	return t.shape.VerdictName(t.out.Steps[step].Ret)
}

// Given returns a field of the context that a step got, by its C name, such as "mark" or
// "remote_ip6[3]"; 0 where the input has no context. A field that cannot be given ends
// the execution with a failure.
func (t *T) Given(step int, name string) uint64 {
	t.TB.Helper()
	at := slices.IndexFunc(t.shape.Context, func(f corpus.Field) bool { return f.Name == name })
	if at < 0 {
		t.TB.Fatalf("programs of type %s take no context field %q", t.shape.Type, name)
	}
	f := &t.shape.Context[at]
	if step < 0 || step >= len(t.in.Steps) || len(t.in.Steps[step].Context) < f.Offset+f.Size {
		return 0
	}
	return integer(t.in.Steps[step].Context[f.Offset:][:f.Size], f.Big)
}

// Field returns a field of the context after a step, by its C name, such as "mark" or
// "cb[0]". A field that the type does not have ends the execution with a failure.
// The first call has contexts recorded from then on, with a system call for each execution.
func (t *T) Field(step int, name string) uint64 {
	t.TB.Helper()
	t.require(corpus.HaveContext)
	at := slices.IndexFunc(t.shape.Output, func(f corpus.Field) bool { return f.Name == name })
	if at < 0 {
		t.TB.Fatalf("programs of type %s give no context field %q back", t.shape.Type, name)
	}
	f := &t.shape.Output[at]
	if step < 0 || step >= len(t.out.Steps) || len(t.out.Steps[step].Context) < f.Offset+f.Size {
		return 0 // it did not run
	}
	return integer(t.out.Steps[step].Context[f.Offset:][:f.Size], f.Big)
}

func integer(b []byte, big bool) uint64 {
	var wide [8]byte
	if big || binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		copy(wide[8-len(b):], b)
		return binary.BigEndian.Uint64(wide[:])
	}
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:])
}

// Lookup reads the entry of key in a map, as the last step left it, into value, which
// is a pointer. It reports whether there is one. Key and value are what bpf2go makes
// of their C types: integers, arrays and structs of fixed size, in the machine's byte order.
// A []byte stands for itself; a *[]byte takes the whole value. The value of a per-CPU
// map is the sum over all CPUs. A map that the program does not have, and a size that
// is not the map's, end the execution with a failure.
//
// The first call has maps recorded from then on, with a system call for each execution.
func (t *T) Lookup(name string, key, value any) bool {
	t.TB.Helper()
	t.require(corpus.HaveMaps)
	rawKey, err := appendValue(nil, key)
	if err != nil {
		t.TB.Fatalf("looking up in map %q: writing the key: %v", name, err)
	}
	raw, ok, err := t.out.Maps.Lookup(t.scratch[:0], name, rawKey)
	if err != nil {
		t.TB.Fatalf("looking up in map %q: %v", name, err)
	}
	if t.scratch = raw; !ok {
		return false
	}
	if err := readValue(raw, value); err != nil {
		t.TB.Fatalf("looking up in map %q: reading the value: %v", name, err)
	}
	return true
}

func appendValue(dst []byte, v any) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return append(dst, b...), nil
	}
	if binary.Size(v) < 0 {
		return nil, fmt.Errorf("%T has no fixed size: use uint32 instead of int, and arrays instead of slices", v)
	}
	return binary.Append(dst, binary.NativeEndian, v)
}

func readValue(raw []byte, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = bytes.Clone(raw)
		return nil
	}
	size := binary.Size(v)
	if size < 0 {
		return fmt.Errorf("%T is no pointer to something of fixed size", v)
	}
	if size != len(raw) {
		return fmt.Errorf("%T has %d bytes, the map's values have %d", v, size, len(raw))
	}
	_, err := binary.Decode(raw, binary.NativeEndian, v)
	return err
}
