package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// open makes an executor on the calling goroutine, which is isolated already.
func open(t testing.TB, target *Target) *executor {
	t.Helper()
	e, err := newExecutor(target, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

const wantAll = corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveMaps | corpus.HaveCover

func alone(t testing.TB, e *executor, in *corpus.Input) *corpus.Outcome {
	t.Helper()
	out, err := e.Alone(t.Context(), in, wantAll)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out.Steps {
		if errno := out.Steps[i].Errno; errno != 0 {
			t.Errorf("step %d: %v", i, errno)
		}
	}
	return out
}
