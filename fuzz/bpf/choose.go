package bpf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz"
)

// Ways to run packets, values of Options.Executor.
const (
	executorAuto   = "auto"
	executorBatch  = "batch"
	executorSingle = "single"
)

// NewExecutor implements fuzz.Target. It locks the calling goroutine to its thread
// for good and moves the thread into a network namespace of its own.
func (t *Target) NewExecutor(worker int) (fuzz.Executor, error) {
	switch t.mode {
	case "", executorAuto, executorBatch, executorSingle:
	default:
		return nil, fmt.Errorf("executor %q: choose %s, %s or %s", t.mode, executorAuto, executorBatch, executorSingle)
	}
	if t.row.trigger != nil {
		return newTriggerExecutor(t, worker)
	}
	single, err := newExecutor(t, worker)
	if err != nil || t.mode == executorSingle || t.live != nil {
		return single, err
	}
	if t.mode != executorBatch && t.shape.MaxSteps > 1 {
		single.why = " (no batches: an input has several packets, which are to see the state of no other input)"
		return single, nil
	}
	batch, err := newBatchExecutor(single)
	if err == nil {
		return batch, nil
	}
	if t.mode == executorBatch {
		return nil, errors.Join(fmt.Errorf("batches of program %q: %w", t.program, err), single.Close())
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	single.why = " (no batches: " + why + ")"
	return single, nil
}
