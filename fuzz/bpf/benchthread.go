package bpf

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// work is something that can be done over and over.
type work struct {
	executor string // what BenchRow.Executor says
	slots    int    // of its batch
	// do runs the program some times, for much less than a measurement takes, and
	// returns how often.
	do    func(context.Context) (int, error)
	close func() error
}

// opener makes work on the calling goroutine, which it moves to an isolated thread.
type opener func(worker int) (*work, error)

// sample is one measurement: executions, the processor time that they took, and the
// wall time.
type sample struct {
	execs     uint64
	cpu, wall time.Duration
	err       error
}

// benchThread does its work while it is told to, on a thread of its own.
type benchThread struct {
	work  *work
	order chan benchOrder
	done  chan sample
	ended chan error
}

// benchOrder is to work for so long.
type benchOrder struct {
	ctx  context.Context
	long time.Duration
}

// startThread opens the work of a worker.
func startThread(worker int, open opener) (*benchThread, error) {
	t := &benchThread{order: make(chan benchOrder), done: make(chan sample), ended: make(chan error, 1)}
	opened := make(chan error)
	go func() {
		w, err := open(worker)
		t.work = w
		if opened <- err; err != nil {
			return
		}
		for o := range t.order {
			t.done <- w.measure(o)
		}
		t.ended <- w.close()
	}()
	if err := <-opened; err != nil {
		return nil, err
	}
	return t, nil
}

// measure works until the time is over. The first pass is not counted: it brings
// what is used into the caches.
func (w *work) measure(o benchOrder) (s sample) {
	if _, s.err = w.do(o.ctx); s.err != nil {
		return s
	}
	cpu, err := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	if err != nil {
		return sample{err: err}
	}
	began := time.Now()
	for s.wall < o.long && s.err == nil {
		n := 0
		n, s.err = w.do(o.ctx)
		s.execs += uint64(n)
		s.wall = time.Since(began)
		if s.err == nil {
			s.err = o.ctx.Err()
		}
	}
	if s.err != nil {
		return s
	}
	s.cpu, s.err = cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	s.cpu -= cpu
	return s
}

// close ends the thread.
func (t *benchThread) close() error {
	close(t.order)
	return <-t.ended
}

// cpuTime is what the calling thread (unix.CLOCK_THREAD_CPUTIME_ID) or the process
// (unix.CLOCK_PROCESS_CPUTIME_ID) has used up to now. What getrusage says may be as
// old as a timer tick.
func cpuTime(clock int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("reading the processor time that was used: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
