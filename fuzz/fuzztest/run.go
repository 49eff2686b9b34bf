package fuzztest

import (
	"testing"
)

// Run makes the program of target the fuzz target f. It does what go test wants: a
// plain go test runs seeds and saved failures; with -fuzz the engine looks for new
// ones. Without the privileges that BPF needs a plain go test skips, see Require. Fn may
// be nil: then the built-in oracles and the target's invariants judge alone.
//
// Run takes the place of f.Fuzz and returns when it is done. Seeds are added with f.Add before,
// encoded by Packets or corpus.Encode.
func Run(f *testing.F, target Target, fn Func) {
	f.Helper()
	RunAll(f, []Target{target}, fn)
}

// RunAll is Run for a table of programs that share inputs. Each saved failure is run
// on all of them, as subtests with the names of the programs. With -fuzz they are
// fuzzed in turn, each for its share of -fuzztime, and start from what was found for the
// others.
func RunAll(f *testing.F, targets []Target, fn Func) {
	f.Helper()
	run(f, targets, fn, nil)
}

// run is RunAll and Diff: compare is nil or takes the place of fn.
func run(f *testing.F, targets []Target, fn Func, compare Compare) {
	f.Helper()
	mode, err := modeOf(f.Name())
	if err != nil {
		f.Fatal(err)
	}
	switch {
	case mode == replaying:
		replay(f, targets, fn, compare)
	case targets[0].Native:
		runNative(f, mode, targets, fn, compare)
	case mode == coordinating:
		coordinate(f)
	default:
		work(f, targets, fn, compare)
	}
}

// fuzzed tells package testing that f was fuzzed. It looks for a call of f.Fuzz, which it
// notes before it refuses what is no function; a real one would start Go's engine.
func fuzzed(f *testing.F) {
	defer func() { _ = recover() }()
	f.Fuzz(nil)
}
