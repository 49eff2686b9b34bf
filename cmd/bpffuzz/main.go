// Command bpffuzz finds bugs in eBPF programs by running them in the kernel with
// inputs that it derives from each other.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Exit codes.
const (
	exitClean    = 0
	exitFindings = 1 // something was found, or replayed input fails
	exitError    = 2 // the command could not do what it was asked
)

// errFindings makes the exit code exitFindings; everything has been said.
var errFindings = errors.New("there are findings")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes a command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	u := &ui{stdout: stdout, stderr: stderr}
	ctx, stop := onSignal(context.Background(), u)
	defer stop()
	root := newRoot(u)
	root.SetArgs(args)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitClean
	case errors.Is(err, errFindings):
		return exitFindings
	default:
		u.fail(err)
		return exitError
	}
}

// usageError is what is wrong with the command line itself.
func usageError(format string, args ...any) error { return fmt.Errorf(format, args...) }
