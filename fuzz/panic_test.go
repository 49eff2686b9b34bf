package fuzz

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// panicRun is set where this executable acts as a run whose program panics.
const panicRun = "BPFFUZZ_TEST_PANIC"

// The process that TestPanicsAreAnnounced starts.
func TestPanickingProcess(t *testing.T) {
	if os.Getenv(panicRun) == "" {
		t.Skip("it is started by another test of this file")
	}
	opts := Options{Workers: 2, Execs: 1000, Panicking: func() { os.Stderr.WriteString("the terminal is in order\n") }}
	if os.Getenv(panicRun) == "progress" {
		opts.Execs, opts.ProgressEvery = 0, 1
		opts.Progress = func(Stats) { panic("planted") }
	}
	_, _ = Run(t.Context(), newToy(1, func(*toyRun, []byte) uint32 {
		if opts.Progress == nil {
			panic("planted")
		}
		return 1
	}), opts)
}

// Whoever has the terminal hears of a panic before it is printed, and the process ends
// of it with the stack of where it happened.
func TestPanicsAreAnnounced(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"program", "progress"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(exe, "-test.run=^TestPanickingProcess$")
			cmd.Env = append(os.Environ(), panicRun+"="+where)
			said, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the process did not end of its panic: %s", said)
			}
			order, panicked, stack := bytes.Index(said, []byte("the terminal is in order")), bytes.Index(said, []byte("panic: planted")), bytes.Index(said, []byte("panic_test.go"))
			if order < 0 || panicked < order || stack < panicked {
				t.Errorf("the process said\n%s", said)
			}
		})
	}
}
