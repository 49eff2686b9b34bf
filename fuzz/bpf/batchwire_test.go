package bpf

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// wireTarget returns wire_len, of which it loads one byte only where narrow is set.
func wireTarget(t *testing.T, narrow bool) *Target {
	t.Helper()
	load := asm.LoadMem(asm.R0, asm.R1, skbOffWireLen, asm.Word)
	if narrow {
		load = asm.LoadMem(asm.R0, asm.R1, skbOffWireLen, asm.Byte)
	}
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"wire": {
		Name: "wire", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{load.WithSymbol("wire"), asm.And.Imm(asm.R0, 0xffffff), asm.Return()},
	}}}
	target, err := NewTarget(FromSpec("wire.o", spec), Options{Executor: executorBatch})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// Packets of any length on the wire go into one call, unless the program looks at a
// part of it.
func TestWireLenInBatches(t *testing.T) {
	needBatches(t)
	var inputs []*corpus.Input
	for i, wire := range []uint32{0, 1, 77, 60, 1514, 65535, maxWireLen, maxWireLen + 1, maxWireLen + 500, 0xffffffff} {
		ctx := make([]byte, skbSize)
		binary.NativeEndian.PutUint32(ctx[skbOffWireLen:], wire)
		packet := make([]byte, 60+3*i)
		inputs = append(inputs, steps(corpus.Step{Packet: packet, Context: ctx}), steps(corpus.Step{Packet: packet}))
	}
	for narrow, rows := range map[bool]int{false: 1, true: 19} {
		target := wireTarget(t, narrow)
		isolated(t, func() {
			b := mustBatch(t, target)
			for _, in := range inputs {
				b.batch.Next().CopyFrom(in)
				b.batch.Commit()
			}
			if err := b.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := make([]uint32, len(inputs))
			for i := range got {
				got[i] = b.batch.Outcome(i).Steps[0].Ret
			}
			if len(b.rows) > rows || len(b.alone) > 0 {
				t.Errorf("narrow %v: %d calls and %d alone, want at most %d", narrow, len(b.rows), len(b.alone), rows)
			}
			for i, in := range inputs {
				want, err := b.Alone(t.Context(), in, corpus.HaveRet)
				if err != nil {
					t.Fatal(err)
				}
				if want.Steps[0].Errno != 0 || got[i] != want.Steps[0].Ret {
					t.Errorf("narrow %v: input %d sees %d in a batch, alone %d (%v)", narrow, i, got[i], want.Steps[0].Ret, want.Steps[0].Errno)
				}
			}
			if !narrow && (got[0] != 60 || !slices.Contains(got, 1514)) {
				t.Errorf("wire_len is %v", got)
			}
		})
	}
}
