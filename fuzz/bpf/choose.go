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
	if err != nil {
		return nil, err
	}
	if t.mode == executorSingle || t.live != nil {
		return t.keeping(single)
	}
	return t.withBatches(single)
}

// withBatches returns an executor of batches on top of single, or single where there
// can be none and nobody insists: then it says why, in a line.
func (t *Target) withBatches(single *executor) (fuzz.Executor, error) {
	batch, err := newBatchExecutor(single)
	if err == nil {
		return batch, nil
	}
	if t.mode == executorBatch {
		return nil, errors.Join(fmt.Errorf("batches of program %q: %w", t.program, err), single.Close())
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	single.why = " (no batches: " + why + ")"
	return t.keeping(single)
}

// keeping returns what runs packets one by one, with map state kept if that is wanted.
func (t *Target) keeping(single *executor) (fuzz.Executor, error) {
	if !t.keep {
		return single, nil
	}
	k, err := newKeepExecutor(single)
	if err != nil {
		return nil, errors.Join(err, single.Close())
	}
	return k, nil
}
