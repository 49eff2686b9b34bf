package fuzztest

import (
	"flag"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// mode is what go test wants of a fuzz target.
type mode uint8

const (
	// replaying runs seeds and saved failures as subtests.
	replaying mode = iota
	// coordinating is the process that go test -fuzz started.
	coordinating
	// working is a process that was started by one that coordinates.
	working
)

// modeOf tells the mode of the fuzz target with that name: with -fuzz, go test runs
// those that it does not match as without.
func modeOf(name string) (mode, error) {
	pattern := testFlag("fuzz")
	if pattern == "" {
		return replaying, nil
	}
	pattern, _, _ = strings.Cut(pattern, "/") // what follows is for subtests
	matches, err := regexp.MatchString(pattern, name)
	switch {
	case err != nil:
		return replaying, fmt.Errorf("reading the pattern of -fuzz: %w", err)
	case !matches:
		return replaying, nil
	case testFlag("fuzzworker") == "true":
		return working, nil
	}
	return coordinating, nil
}

// testFlag returns the value of a flag of go test, "" when it has none.
func testFlag(name string) string {
	f := flag.Lookup("test." + name)
	if f == nil {
		return ""
	}
	return f.Value.String()
}

// limit is how long something may go on: for a time or a number of executions, and
// without an end if both are 0.
type limit struct {
	time  time.Duration
	execs uint64
}

// readLimit reads "10s" or "1000x", as -fuzztime and -fuzzminimizetime have it.
func readLimit(text string) (limit, error) {
	if count, ok := strings.CutSuffix(text, "x"); ok {
		n, err := strconv.ParseUint(count, 10, 64)
		if err != nil {
			return limit{}, fmt.Errorf("reading %q as a number of executions: %w", text, err)
		}
		return limit{execs: n}, nil
	}
	if text == "" {
		return limit{}, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return limit{}, fmt.Errorf("reading %q as a duration: %w", text, err)
	}
	return limit{time: d}, nil
}

// share returns the n-th part of a limit.
func (l limit) share(n int) limit {
	l.time /= time.Duration(n)
	if l.execs > 0 {
		l.execs = max(l.execs/uint64(n), 1)
	}
	return l
}

// flags are those of go test that the engine obeys.
type flags struct {
	limit, minimize limit
	workers         int
	cache           string // "" for none
}

func readFlags() (f flags, err error) {
	if f.limit, err = readLimit(testFlag("fuzztime")); err != nil {
		return f, err
	}
	if f.minimize, err = readLimit(testFlag("fuzzminimizetime")); err != nil {
		return f, err
	}
	if f.workers, err = strconv.Atoi(testFlag("parallel")); err != nil || f.workers < 1 {
		f.workers = runtime.GOMAXPROCS(0)
	}
	f.cache = testFlag("fuzzcachedir")
	return f, nil
}
