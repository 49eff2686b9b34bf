package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onSignal returns a context that the first SIGINT or SIGTERM ends, so that the
// command stops in order. From then on signals have their default effect again: a
// second one stops the process now. The terminal is as it was before when the first one
// was heard.
func onSignal(parent context.Context, u *ui) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			u.reclaim()
			signal.Stop(signals)
			if again := more(signals); again != nil {
				_ = syscall.Kill(os.Getpid(), again.(syscall.Signal))
			}
			u.say("%s: stopping; once more stops at once", s)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// more returns a signal that came in the meantime, nil if there is none.
func more(signals <-chan os.Signal) os.Signal {
	select {
	case s := <-signals:
		return s
	default:
		return nil
	}
}
