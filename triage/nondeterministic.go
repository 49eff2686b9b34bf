package triage

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// newNondeterministic compares two runs of the same input from the initial state:
// what they differ in depends on memory that the program never wrote, on time, on
// chance or on another CPU.
func newNondeterministic(shape *corpus.Shape) Relation {
	return Relation{
		Name: "nondeterministic", Need: corpus.HaveRet | corpus.HavePacket | corpus.HaveContext, When: Sampled,
		Judge: func(a, b *corpus.Outcome) error {
			for i := range min(len(a.Steps), len(b.Steps)) {
				if err := sameStep(shape, &a.Steps[i], &b.Steps[i]); err != nil {
					return fmt.Errorf("step %d, run twice: %w", i, err)
				}
			}
			return nil
		},
	}
}

func sameStep(shape *corpus.Shape, a, b *corpus.StepOutcome) error {
	if a.Errno != b.Errno {
		return fmt.Errorf("errno %d, then %d", int(a.Errno), int(b.Errno))
	}
	if a.Errno != 0 {
		return nil // the program did not run, or its outcome was not copied out
	}
	if a.Ret != b.Ret {
		return fmt.Errorf("returned %s, then %s", verdictText(shape, a.Ret), verdictText(shape, b.Ret))
	}
	if len(a.Packet) != len(b.Packet) {
		return fmt.Errorf("a packet of %d bytes, then %d", len(a.Packet), len(b.Packet))
	}
	if at := differ(a.Packet, b.Packet); at >= 0 {
		return fmt.Errorf("byte %d of the packet is %#02x, then %#02x", at, a.Packet[at], b.Packet[at])
	}
	return sameContext(shape, a.Context, b.Context)
}

// sameContext compares the fields that an outcome has: other bytes mean nothing.
func sameContext(shape *corpus.Shape, a, b []byte) error {
	if bytes.Equal(a, b) {
		return nil
	}
	for _, f := range shape.Output {
		x, okA := fieldValue(&f, a)
		y, okB := fieldValue(&f, b)
		if okA && okB && x != y {
			return fmt.Errorf("field %s of the context is %#x, then %#x", f.Name, x, y)
		}
	}
	return nil
}

// fieldValue reads a field; ok is false where b ends before it does.
func fieldValue(f *corpus.Field, b []byte) (v uint64, ok bool) {
	if f.Offset < 0 || f.Size < 0 || f.Offset > len(b)-f.Size {
		return 0, false
	}
	var order binary.ByteOrder = binary.NativeEndian
	if f.Big {
		order = binary.BigEndian
	}
	switch b = b[f.Offset:]; f.Size {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(order.Uint16(b)), true
	case 4:
		return uint64(order.Uint32(b)), true
	case 8:
		return order.Uint64(b), true
	}
	return 0, false
}

// differ returns the first index at which two strings of one length differ, or -1.
func differ(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func verdictText(shape *corpus.Shape, ret uint32) string {
	if name := shape.VerdictName(ret); name != "" {
		return name
	}
	return fmt.Sprintf("%d", ret)
}
