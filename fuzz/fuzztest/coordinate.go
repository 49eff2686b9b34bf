package fuzztest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// coordinate has another process fuzz, and reports what it finds. The Func runs in that
// process, so that whatever it does, this one is there to report it.
func coordinate(f *testing.F, targets []Target) {
	f.Helper()
	if what := missing(); what != "" {
		f.Fatalf("cannot fuzz: %s", what)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	flags, err := readFlags()
	if err != nil {
		f.Fatal(err)
	}
	c := &coordinator{f: f, flags: flags, quiet: make(chan struct{})}
	if err := c.run(ctx); err != nil {
		f.Fatal(err)
	}
	c.conclude()
}

// coordinator follows one process that works.
type coordinator struct {
	f     *testing.F
	flags flags

	mu            sync.Mutex
	investigating bool
	quiet         chan struct{} // closed when the last message was received
	last          *message      // with Progress
	failure       *failing
	err           error
	done          bool
}

// run starts the process and returns when it has ended.
func (c *coordinator) run(ctx context.Context) error {
	messages, theirMessages, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe to the fuzzing process: %w", err)
	}
	defer messages.Close()
	theirControl, control, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("making a pipe to the fuzzing process: %w", err), theirMessages.Close())
	}
	defer control.Close()
	flights, err := newFlights()
	if err != nil {
		return errors.Join(err, theirMessages.Close(), theirControl.Close())
	}
	defer flights.Close()
	cmd := workerCommand(theirMessages, theirControl, flights)
	err = errors.Join(cmd.Start(), theirMessages.Close(), theirControl.Close())
	if err != nil {
		return fmt.Errorf("starting the fuzzing process: %w", err)
	}
	received := make(chan error, 1)
	go func() {
		received <- receive(messages, c.handle)
		close(c.quiet)
	}()
	stopped := context.AfterFunc(ctx, func() { c.end(control, cmd.Process) })
	exit := cmd.Wait()
	stopped()
	if err := <-received; err != nil {
		return fmt.Errorf("reading from the fuzzing process: %w", err)
	}
	if c.done || ctx.Err() != nil {
		return nil
	}
	return c.crashed(exit, flights)
}

// workerCommand is this test binary with the same flags, as Go's engine starts it.
func workerCommand(messages, control, flights *os.File) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"-test.fuzzworker"}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), workerMark+"=1")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{messages, control, flights}
	return cmd
}

// grace is how long a process that is told to end may go on with what it is at.
const grace = 2 * time.Second

// end tells the process to end, and ends it if it does not and is not looking into a
// failure. What is worth keeping is on disk then.
func (c *coordinator) end(control *os.File, process *os.Process) {
	_ = control.Close()
	select {
	case <-c.quiet:
		return
	case <-time.After(grace):
	}
	c.mu.Lock()
	investigating := c.investigating
	c.mu.Unlock()
	if !investigating {
		_ = process.Kill()
	}
}

// handle is called with one message after the other.
func (c *coordinator) handle(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.Note != "":
		c.say("%s", m.Note)
	case m.Baseline != nil:
		c.sayBaseline(m)
	case m.Progress != nil:
		c.sayProgress(m)
	case m.Investigating:
		c.investigating = true
		c.say("elapsed: %s, minimizing", seconds(m.At))
	case m.Failure != nil && c.failure == nil: // another worker may have had its own
		c.failure = m.Failure
	case m.Error != "":
		c.err = errors.New(m.Error)
	case m.Done:
		c.done = true
	}
}

// say writes a line as Go's engine does.
func (c *coordinator) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "fuzz: "+format+"\n", args...)
}

func (c *coordinator) sayBaseline(m *message) {
	b := m.Baseline
	if b.Done < b.Total {
		c.say("elapsed: %s, gathering baseline coverage: %d/%d completed", seconds(m.At), b.Done, b.Total)
		return
	}
	c.say("elapsed: %s, gathering baseline coverage: %d/%d completed, now fuzzing with %d workers", seconds(m.At), b.Done, b.Total, b.Workers)
}

func (c *coordinator) sayProgress(m *message) {
	before := &message{Progress: &progress{}}
	if c.last != nil {
		before = c.last
	}
	c.last = m
	rate := 0.0
	if span := m.At - before.At; span > 0 {
		rate = float64(m.Progress.Execs-before.Progress.Execs) / span.Seconds()
	}
	p := m.Progress
	c.say("elapsed: %s, execs: %d (%.0f/sec), new interesting: %d (total: %d), edges: %d/%d",
		seconds(m.At), p.Execs, rate, p.Interesting, p.All, p.Edges, p.Observable)
}

func seconds(d time.Duration) time.Duration { return d.Round(time.Second) }

// conclude reports the result as package testing does.
func (c *coordinator) conclude() {
	f := c.f
	f.Helper()
	if c.err != nil {
		f.Fatal(c.err)
	}
	if p := c.last; p != nil && p.Progress.Unconfirmed > 0 {
		c.say("%d failing inputs did not fail again alone and are not reported", p.Progress.Unconfirmed)
	}
	if c.failure == nil {
		fuzzed(f)
		return
	}
	out := f.Output()
	if c.failure.Seed != "" {
		c.say("elapsed: %s, failure while testing seed corpus entry: %s/%s", "0s", f.Name(), c.failure.Seed)
		c.write(out.Write, c.failure)
		f.FailNow()
	}
	path, err := save(f.Name(), corpus.Decode(c.failure.Encoded))
	c.write(out.Write, c.failure)
	if err != nil {
		f.Fatal(err)
	}
	fmt.Fprintf(out, "\nFailing input written to %s\nTo re-run:\ngo test -run=%s/%s\n", path, f.Name(), filepath.Base(path))
	f.FailNow()
}

func (c *coordinator) write(write func([]byte) (int, error), failure *failing) {
	text := fmt.Sprintf("--- FAIL: %s (0.00s)\n%s\n", c.f.Name(), indent(failure.Text))
	if failure.Details != "" {
		text += indent(failure.Details) + "\n"
	}
	_, _ = write([]byte(text))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// save writes a failing input to testdata/fuzz, where go test finds it.
func save(name string, in *corpus.Input) (string, error) {
	dir, err := corpus.OpenDir(corpusDir(name))
	if err != nil {
		return "", fmt.Errorf("saving the failing input: %w", err)
	}
	if err := dir.Add(in); err != nil {
		return "", fmt.Errorf("saving the failing input: %w", err)
	}
	return filepath.Join(dir.Path(), corpus.FileName(corpus.MarshalFile(in))), nil
}

// crashed makes a failure of a process that ended by itself.
func (c *coordinator) crashed(exit error, file *os.File) error {
	status := "exit status 0"
	if exit != nil {
		status = exit.Error()
	}
	flights, err := mapFlights(file, c.flags.workers, 0)
	if err != nil {
		return err
	}
	for _, flight := range flights {
		if in := flight.pending(); in != nil {
			c.failure = &failing{
				Text:    "fuzzing process hung or terminated unexpectedly: " + status,
				Encoded: corpus.Encode(in),
			}
			return nil
		}
	}
	return fmt.Errorf("fuzzing process hung or terminated unexpectedly: %s", status)
}
