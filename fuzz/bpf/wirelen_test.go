package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// A program sees the same wire_len whatever is recorded of its run.
func TestWireLenIsTheSameInEveryRun(t *testing.T) {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"wire": {
		Name: "wire", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R0, asm.R1, skbOffWireLen, asm.Word).WithSymbol("wire"),
			asm.Return(),
		},
	}}}
	needKernel(t)
	for _, executor := range []string{"single", "batch"} {
		target, err := NewTarget(FromSpec("wire.o", spec), Options{Executor: executor})
		if err != nil {
			t.Fatal(err)
		}
		isolated(t, func() {
			e, err := target.NewExecutor(0)
			if err != nil {
				t.Error(err)
				return
			}
			defer e.Close()
			batch := e.Batch()
			batch.Reset()
			for range 3 {
				in := batch.Next()
				in.CopyFrom(&corpus.Input{Steps: []corpus.Step{{Packet: frame(77, 0)}}})
				batch.Commit()
			}
			if err := e.Run(t.Context()); err != nil {
				t.Error(err)
				return
			}
			for i := range batch.Len() {
				if got := batch.Outcome(i).Steps[0].Ret; got != 77 {
					t.Errorf("%s: in a batch wire_len is %d, want 77", executor, got)
				}
			}
			for _, want := range []corpus.Have{corpus.HaveRet, corpus.HaveContext} {
				out, err := e.Alone(t.Context(), batch.Input(0), want)
				if err != nil {
					t.Error(err)
					return
				}
				if got := out.Steps[0].Ret; got != 77 {
					t.Errorf("%s: alone wire_len is %d, want 77", executor, got)
				}
			}
		})
	}
}
