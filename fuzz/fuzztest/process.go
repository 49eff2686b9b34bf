package fuzztest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// workerProcess is a process that calls work.
type workerProcess struct {
	cmd     *exec.Cmd
	control *os.File
	// silent is closed when it has sent its last message, of which finished says that
	// it came to its end.
	silent   chan struct{}
	finished bool
	err      error // of receiving
}

// startWorker starts this test binary with the same flags, as Go's engine does, and
// calls handle with each message of it.
func startWorker(mark string, flights *os.File, handle func(*message)) (*workerProcess, error) {
	messages, theirMessages, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe to the fuzzing process: %w", err)
	}
	theirControl, control, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a pipe to the fuzzing process: %w", err), messages.Close(), theirMessages.Close())
	}
	cmd := exec.Command(os.Args[0], append([]string{"-test.fuzzworker"}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), workerMark+"="+mark)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{theirMessages, theirControl, flights}
	err = errors.Join(cmd.Start(), theirMessages.Close(), theirControl.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the fuzzing process: %w", err), messages.Close(), control.Close())
	}
	w := &workerProcess{cmd: cmd, control: control, silent: make(chan struct{})}
	go w.listen(messages, handle)
	return w, nil
}

func (w *workerProcess) listen(messages *os.File, handle func(*message)) {
	defer close(w.silent)
	w.err = receive(messages, func(m *message) {
		w.finished = w.finished || m.Done
		handle(m)
	})
	w.err = errors.Join(w.err, messages.Close())
}

// tellToEnd has the process end in order.
func (w *workerProcess) tellToEnd() { _ = w.control.Close() }

func (w *workerProcess) kill() { _ = w.cmd.Process.Kill() }

// wait returns when the process has ended. The error says how, where it did not come
// to its end, or failed behind it.
func (w *workerProcess) wait() error {
	<-w.silent // it has ended, or closed the pipe
	exit := w.cmd.Wait()
	_ = w.control.Close()
	switch {
	case w.err != nil:
		return w.err
	case w.finished && exit != nil:
		return fmt.Errorf("%w, after the last execution: a data race, a cleanup, or a goroutine that went on", exit)
	case !w.finished && exit == nil:
		return errors.New("exit status 0")
	}
	return exit
}
