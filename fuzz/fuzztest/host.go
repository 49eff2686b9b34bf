package fuzztest

import "github.com/bpffuzz/bpffuzz/fuzz"

// host owns an executor, all of whose methods have to be called on one goroutine.
type host struct {
	calls  chan func(fuzz.Executor)
	closed chan error
}

func newHost(target fuzz.Target, worker int) (*host, error) {
	h := &host{calls: make(chan func(fuzz.Executor)), closed: make(chan error, 1)}
	ready := make(chan error)
	go h.serve(target, worker, ready)
	return h, <-ready
}

func (h *host) serve(target fuzz.Target, worker int, ready chan<- error) {
	exec, err := target.NewExecutor(worker)
	ready <- err
	if err != nil {
		return
	}
	for call := range h.calls {
		call(exec)
	}
	h.closed <- exec.Close()
}

// do has call called with the executor and returns when it has returned.
func (h *host) do(call func(fuzz.Executor)) {
	done := make(chan struct{})
	h.calls <- func(exec fuzz.Executor) {
		defer close(done)
		call(exec)
	}
	<-done
}

// close ends the goroutine; the host must not be used any more.
func (h *host) close() error {
	close(h.calls)
	return <-h.closed
}
