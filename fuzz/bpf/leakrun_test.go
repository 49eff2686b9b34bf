package bpf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// failing is a target whose executors fail after some batches.
type failing struct {
	*Target
	after int
}

var errBroken = errors.New("the executor broke")

func (f *failing) NewExecutor(worker int) (fuzz.Executor, error) {
	e, err := f.Target.NewExecutor(worker)
	if err != nil || worker == 0 {
		return e, err
	}
	return &failingExecutor{e, f.after}, nil
}

type failingExecutor struct {
	fuzz.Executor
	left int
}

func (f *failingExecutor) Run(ctx context.Context) error {
	if f.left--; f.left < 0 {
		return errBroken
	}
	return f.Executor.Run(ctx)
}

// isolatedThreads counts threads of the process that are in another network namespace
// than the one that runs the test. The process's first thread need not be in that: when
// it was isolated, it stays so until the process ends.
func isolatedThreads(t *testing.T) (n int) {
	t.Helper()
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if ns, err := os.Readlink(task); err == nil && ns != own {
			n++
		}
	}
	return n
}

// However a run ends, the kernel has nothing of it afterwards: no program or map by
// its number, no attachment, no thread in a namespace, no descriptor.
func TestNothingIsLeftOfRuns(t *testing.T) {
	needKernel(t)
	newState(t, "plain", Setup{}) // what the library opens once and keeps
	for name, end := range map[string]struct {
		opts   func(cancel context.CancelFunc) fuzz.Options
		broken bool
		want   error
	}{
		"enough executions": {func(context.CancelFunc) fuzz.Options { return fuzz.Options{Execs: 20_000} }, false, nil},
		"interrupted": {func(cancel context.CancelFunc) fuzz.Options {
			return fuzz.Options{Keep: func(...*corpus.Input) error { cancel(); return nil }}
		}, false, nil},
		"executor failed": {func(context.CancelFunc) fuzz.Options { return fuzz.Options{} }, true, errBroken},
		"disk full": {func(context.CancelFunc) fuzz.Options {
			return fuzz.Options{Keep: func(...*corpus.Input) error { return os.ErrClosed }}
		}, false, os.ErrClosed},
	} {
		for _, mode := range []Options{{Executor: "batch"}, {Executor: "single", State: "keep"}} {
			t.Run(name+"/"+mode.Executor+mode.State, func(t *testing.T) {
				before, threads := holding(t), isolatedThreads(t)
				target := unique(t, mode)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				opts := end.opts(cancel)
				opts.Workers, opts.Judge = 2, triage.NewJudge(nil, nil)
				there := 0
				keep := opts.Keep
				opts.Keep = func(in ...*corpus.Input) error {
					if there == 0 {
						there = objectsIn(t, uniqueName)
					}
					if keep != nil {
						return keep(in...)
					}
					return nil
				}
				var subject fuzz.Target = target
				if end.broken {
					subject = &failing{target, 3}
				}
				if _, err := fuzz.Run(ctx, subject, opts); !errors.Is(err, end.want) {
					t.Fatalf("the run ends with %v, want %v", err, end.want)
				}
				if there == 0 {
					t.Error("the run had no program: this test looks for the wrong name")
				}
				checkHoldings(t, "the run", before)
				for tries := 0; objectsIn(t, uniqueName) > 0 || isolatedThreads(t) > threads; tries++ { // freed after a grace period
					if tries == 10_000 {
						t.Fatalf("%d programs and %d isolated threads are left", objectsIn(t, uniqueName), isolatedThreads(t)-threads)
					}
					runtime.Gosched()
				}
			})
		}
	}
}

// uniqueName is of a program that no other test has.
const uniqueName = "leak_of_run"

// unique returns a target of that name.
func unique(t *testing.T, opts Options) *Target {
	t.Helper()
	obj, err := Open("testdata/state.o")
	if err != nil {
		t.Fatal(err)
	}
	prog := obj.spec.Programs["state"].Copy()
	prog.Name = uniqueName
	obj.spec.Programs[uniqueName] = prog
	opts.Program, opts.Setup, opts.MaxSteps = uniqueName, stateSetup(), 1
	target, err := NewTarget(obj, opts)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// Workers block signals on their threads: one would interrupt a batch.
func TestWorkersBlockSignals(t *testing.T) {
	target := newState(t, "plain", Setup{})
	isolated(t, func() {
		open(t, target)
		status, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			t.Error(err)
			return
		}
		_, blocked, _ := strings.Cut(string(status), "SigBlk:\t")
		text, _, _ := strings.Cut(blocked, "\n")
		mask, err := strconv.ParseUint(text, 16, 64)
		if err != nil {
			t.Error(err)
		}
		for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGURG, unix.SIGALRM, unix.SIGCHLD, unix.SIGWINCH} {
			if mask>>(s-1)&1 == 0 {
				t.Errorf("%s is not blocked on the worker's thread", unix.SignalName(s))
			}
		}
	})
}
