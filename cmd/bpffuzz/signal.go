package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onSignal returns a context that the first SIGINT or SIGTERM ends, so that the
// command stops in order. From then on signals have their default effect again: a
// second one stops the process now.
func onSignal(parent context.Context, u *ui) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
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
