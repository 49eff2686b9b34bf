package fuzztest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// ended is what FailNow and SkipNow panic with to leave the Func.
type ended struct{}

// execution is the testing.TB of a worker while fuzzing. It is reset before each call
// of the Func.
type execution struct {
	testing.TB // the fuzz target, for what cannot be done here

	mu       sync.Mutex // the Func may report from goroutines of its own
	log      []byte
	failed   bool
	skipped  bool
	cleanups []func()
	helpers  map[string]bool // functions that called Helper
	ctx      context.Context
	cancel   context.CancelFunc
}

// call calls fn and returns what it reported, nil when it did not fail. It does not
// allocate then.
func (x *execution) call(fn Func, t *T, in *corpus.Input, out *corpus.Outcome) error {
	x.log, x.failed, x.skipped = x.log[:0], false, false
	x.protect(fn, t, in, out)
	for len(x.cleanups) > 0 || x.cancel != nil {
		x.finish()
	}
	if !x.failed {
		return nil
	}
	return &failure{strings.TrimRight(string(x.log), "\n")}
}

// failure is what a Func reported, in as many lines as it took.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

// protect calls fn and turns a panic into a failure.
func (x *execution) protect(fn Func, t *T, in *corpus.Input, out *corpus.Outcome) {
	defer x.recover()
	fn(t, in, out)
}

// recover is deferred around functions of the caller's.
func (x *execution) recover() {
	switch p := recover().(type) {
	case nil, ended:
	default:
		x.failed = true
		x.printf("panic: %v\n%s", p, trimStack(debug.Stack()))
	}
}

// trimStack leaves out the frames above the panic, which are ours, and addresses and
// goroutine numbers, which differ each time.
func trimStack(stack []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stack)), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") && i+2 <= len(lines) {
			lines = lines[i+2:]
			break
		}
	}
	for i, line := range lines {
		if strings.Contains(line, ".(*execution).protect") {
			lines = lines[:i]
			break
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// finish runs the last cleanup, or ends the context where there is none left.
func (x *execution) finish() {
	if x.cancel != nil {
		x.cancel()
		x.ctx, x.cancel = nil, nil
		return
	}
	last := len(x.cleanups) - 1
	do := x.cleanups[last]
	x.cleanups = x.cleanups[:last]
	defer x.recover()
	do()
}

func (x *execution) printf(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.log = fmt.Appendf(x.log, format, args...)
}

// report logs text with the place of the call in the Func, as package testing does.
func (x *execution) report(text string) {
	file, line := x.caller()
	x.printf("%s:%d: %s\n", file, line, strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    "))
}

// caller returns where the first function is that is not a helper.
func (x *execution) caller() (file string, line int) {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if f.PC == 0 {
			break
		}
		if file == "" || !x.isHelper(f.Function) {
			file, line = filepath.Base(f.File), f.Line
		}
		if !x.isHelper(f.Function) {
			return file, line
		}
	}
	return file, line
}

func (x *execution) isHelper(function string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.helpers[function]
}

// Helper implements testing.TB.
func (x *execution) Helper() {
	var pc [1]uintptr
	if runtime.Callers(2, pc[:]) == 0 {
		return
	}
	// A Func may call helpers in each execution: asking costs little, and a function
	// is noted once.
	f := runtime.FuncForPC(pc[0] - 1)
	if f == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.helpers[f.Name()] {
		if x.helpers == nil {
			x.helpers = map[string]bool{}
		}
		x.helpers[f.Name()] = true
	}
}

// Log implements testing.TB.
func (x *execution) Log(args ...any) { x.report(fmt.Sprintln(args...)) }

// Logf implements testing.TB.
func (x *execution) Logf(format string, args ...any) { x.report(fmt.Sprintf(format, args...)) }

// Error implements testing.TB.
func (x *execution) Error(args ...any) {
	x.report(fmt.Sprintln(args...))
	x.Fail()
}

// Errorf implements testing.TB.
func (x *execution) Errorf(format string, args ...any) {
	x.report(fmt.Sprintf(format, args...))
	x.Fail()
}

// Fatal implements testing.TB.
func (x *execution) Fatal(args ...any) {
	x.report(fmt.Sprintln(args...))
	x.FailNow()
}

// Fatalf implements testing.TB.
func (x *execution) Fatalf(format string, args ...any) {
	x.report(fmt.Sprintf(format, args...))
	x.FailNow()
}

// Fail implements testing.TB.
func (x *execution) Fail() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.failed = true
}

// FailNow implements testing.TB.
func (x *execution) FailNow() {
	x.Fail()
	panic(ended{})
}

// Failed implements testing.TB.
func (x *execution) Failed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failed
}

// Skip implements testing.TB.
func (x *execution) Skip(args ...any) { x.SkipNow() }

// Skipf implements testing.TB.
func (x *execution) Skipf(format string, args ...any) { x.SkipNow() }

// SkipNow implements testing.TB.
func (x *execution) SkipNow() {
	x.skipped = true
	panic(ended{})
}

// Skipped implements testing.TB.
func (x *execution) Skipped() bool { return x.skipped }

// Cleanup implements testing.TB: f is called when the execution has ended.
func (x *execution) Cleanup(f func()) { x.cleanups = append(x.cleanups, f) }

// Context implements testing.TB: the context ends with the execution.
func (x *execution) Context() context.Context {
	if x.cancel == nil {
		x.ctx, x.cancel = context.WithCancel(context.Background())
	}
	return x.ctx
}

// TempDir implements testing.TB: the directory is removed with the execution.
func (x *execution) TempDir() string {
	dir, err := os.MkdirTemp("", "fuzztest-*")
	if err != nil {
		x.Fatalf("making a temporary directory: %v", err)
	}
	x.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			x.Errorf("removing a temporary directory: %v", err)
		}
	})
	return dir
}

// ArtifactDir implements testing.TB.
func (x *execution) ArtifactDir() string { return x.TempDir() }

// Attr implements testing.TB; attributes of single executions are dropped.
func (x *execution) Attr(key, value string) {}

// Setenv implements testing.TB.
func (x *execution) Setenv(key, value string) {
	x.Fatalf("Setenv(%q): workers share the environment, set it in the fuzz target with f.Setenv", key)
}

// Chdir implements testing.TB.
func (x *execution) Chdir(dir string) {
	x.Fatalf("Chdir(%q): workers share the working directory, change it in the fuzz target with f.Chdir", dir)
}

// Output implements testing.TB: what is written is shown if the execution fails.
func (x *execution) Output() io.Writer { return output{x} }

type output struct{ x *execution }

func (o output) Write(b []byte) (int, error) {
	o.x.printf("%s", b)
	return len(b), nil
}
