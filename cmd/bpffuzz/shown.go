package main

import (
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign/screen"
)

// shown is a screen that has the terminal, and the lines that wait until it is back.
type shown struct {
	u      *ui
	screen *screen.Screen
	once   sync.Once
}

// show shows a screen where standard input and standard error are a terminal that can.
// Where it cannot be shown, lines are written as ever.
func show(ctx context.Context, u *ui, what watched) *shown {
	out, isFile := u.stderr.(*os.File)
	if !isFile || !screen.Terminal(os.Stdin, out, os.Getenv("TERM")) {
		return nil
	}
	s := &shown{u: u}
	ready := make(chan struct{})
	var err error
	u.hold(func() { <-ready; s.Close() })
	s.screen, err = screen.Start(ctx, screen.Options{
		Board: what.board, Input: os.Stdin, Output: out, Blocked: what.blocked, NoColor: os.Getenv("NO_COLOR") != "",
		// A key is as good as the signal, see onSignal.
		Stop: func(string) {
			<-ready
			s.Close()
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		},
	})
	close(ready)
	if err != nil {
		s.once.Do(u.release)
		u.warn("%v; going on with lines", err)
		return nil
	}
	go func() {
		<-s.screen.Done()
		s.Close()
	}()
	return s
}

// Close gives the terminal back and says what was held back. It may be called more than
// once, on nil too.
func (s *shown) Close() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		err := s.screen.Close()
		s.u.release()
		if err != nil {
			s.u.warn("%v", err)
		}
	})
}
