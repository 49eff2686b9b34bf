package fuzztest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// coordinate has another process fuzz, and reports what it finds. The Func runs in that
// process, so that whatever it does, this one is there to report it.
func coordinate(f *testing.F) {
	f.Helper()
	if what := missing(); what != "" {
		f.Fatalf("cannot fuzz: %s", what)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt is not caught
	flags, err := readFlags()
	if err != nil {
		f.Fatal(err)
	}
	c := &coordinator{f: f, flags: flags}
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
	ending        func() // makes the process end
	investigating bool
	gone          bool     // it did not, and was ended
	last          *message // with Progress
	failure       *failing
	err           error
}

// run has a process fuzz and returns when it has ended.
func (c *coordinator) run(ctx context.Context) error {
	flights, err := newFlights()
	if err != nil {
		return err
	}
	defer flights.Close()
	w, err := c.start(flights)
	if err != nil {
		return err
	}
	stopped := context.AfterFunc(ctx, c.stop)
	err = w.wait()
	stopped()
	if err == nil || c.killed() || c.failure != nil || c.err != nil {
		return nil
	}
	return c.crashed(err, flights)
}

func (c *coordinator) start(flights *os.File) (*workerProcess, error) {
	c.mu.Lock() // the first message may come before the process is known
	defer c.mu.Unlock()
	w, err := startWorker(workerAll, flights, c.handle)
	c.ending = sync.OnceFunc(func() { go c.end(w) })
	return w, err
}

// killed reports whether the process was ended since it did not end by itself.
func (c *coordinator) killed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// grace is how long a process that is told to end may go on with what it is at.
const grace = 2 * time.Second

// end tells the process to end, and ends it if it does not and is not looking into a
// failure. What is worth keeping is on disk then.
func (c *coordinator) end(w *workerProcess) {
	w.tellToEnd()
	select {
	case <-w.silent:
		return
	case <-time.After(grace):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.investigating {
		c.gone = true
		w.kill()
	}
}

// stop makes the process end.
func (c *coordinator) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending()
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
	case m.Ending:
		c.ending()
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
		c.write(out, c.failure)
		f.FailNow()
	}
	c.write(out, c.failure)
	path := c.failure.Path
	fmt.Fprintf(out, "\nFailing input written to %s\nTo re-run:\ngo test -run=%s/%s\n", path, f.Name(), filepath.Base(path))
	f.FailNow()
}

func (c *coordinator) write(w io.Writer, failure *failing) {
	text := fmt.Sprintf("--- FAIL: %s (0.00s)\n%s\n", c.f.Name(), indent(failure.Text))
	if failure.Details != "" {
		text += indent(failure.Details) + "\n"
	}
	_, _ = io.WriteString(w, text)
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
	text := fmt.Sprintf("fuzzing process hung or terminated unexpectedly: %v", exit)
	flights, err := mapFlights(file, c.flags.workers, 0)
	if err != nil {
		return err
	}
	var suspects []*corpus.Input
	for i, flight := range flights {
		in := flight.pending()
		if in == nil {
			continue
		}
		suspects = append(suspects, in)
		w, err := startWorker(strconv.Itoa(i), file, func(*message) {})
		if err != nil {
			return err
		}
		if w.wait() != nil {
			return c.suspect(in, text)
		}
	}
	if len(suspects) == 0 {
		return errors.New(text)
	}
	return c.suspect(suspects[0], text+"\n(this input ran then; run again, it did not end the process)")
}

// suspect reports an input that ended the process.
func (c *coordinator) suspect(in *corpus.Input, text string) error {
	path, err := save(c.f.Name(), in)
	c.failure = &failing{Text: text, Path: path}
	return err
}
