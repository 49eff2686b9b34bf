// Package screen shows on a terminal how a campaign or a run stands.
package screen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// Options say what is shown where. Board, Input and Output are needed.
type Options struct {
	Board *campaign.Board
	// Input and Output are the terminal.
	Input, Output *os.File
	// Blocked answers what a target does not get past; it is asked about the selected one
	// when it gained edges, at most every BlockedEvery, from one goroutine at a time. Nil
	// leaves the question open.
	Blocked func(ctx context.Context, target string) ([]campaign.Blocked, error)
	// BlockedEvery is 10 s where it is 0.
	BlockedEvery time.Duration
	// Stop is called when somebody presses the key to end it, once the terminal is as it
	// was before; nil does nothing.
	Stop func(key string)
	// NoColor leaves out colours, and nothing else.
	NoColor bool
}

// Screen has a terminal until it is closed. It is safe for concurrent use.
type Screen struct {
	opts    Options
	program *tea.Program
	model   *model
	cancel  context.CancelFunc
	restore func() error // what the terminal was before
	done    chan struct{}
	err     error // once done is closed
	others  sync.WaitGroup
	asked   chan string // the target whose frontier is wanted
}

// Start takes the terminal. Nobody else writes to it until the screen is closed.
func Start(ctx context.Context, opts Options) (*Screen, error) {
	restore, err := terminalState(opts.Input)
	if err != nil {
		return nil, fmt.Errorf("taking the terminal: %w", err)
	}
	if opts.BlockedEvery <= 0 {
		opts.BlockedEvery = 10 * time.Second
	}
	profile := colorprofile.ANSI
	if opts.NoColor {
		profile = colorprofile.ASCII
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Screen{opts: opts, cancel: cancel, restore: restore, done: make(chan struct{}), asked: make(chan string, 1)}
	s.model = newModel(opts.Board.Status(), time.Now)
	s.model.ask = s.ask
	// Profiles are not left to be found out: under tmux that would run a command.
	s.program = tea.NewProgram(s.model, tea.WithInput(opts.Input), tea.WithOutput(opts.Output), tea.WithColorProfile(profile),
		tea.WithoutSignalHandler(), tea.WithFPS(10))
	s.others.Go(func() { s.guarded(func() { s.follow(ctx) }) })
	if opts.Blocked != nil {
		s.others.Go(func() { s.guarded(func() { s.answer(ctx) }) })
	}
	go s.run()
	return s, nil
}

// guarded gives the terminal back when do panics, before the process ends of it.
func (s *Screen) guarded(do func()) {
	ended := false
	defer func() {
		if !ended {
			s.program.Kill()
		}
	}()
	do()
	ended = true
}

func (s *Screen) run() {
	_, err := s.program.Run()
	s.cancel()
	if err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		s.err = fmt.Errorf("showing the screen: %w", err)
	}
	if errors.Is(err, tea.ErrProgramPanic) {
		s.err = errors.New("showing the screen: it panicked; go on with --no-tui")
	}
	close(s.done)
	if key := s.model.stopped; key != "" && s.opts.Stop != nil {
		s.opts.Stop(key)
	}
}

// Done is closed once the terminal is as it was before.
func (s *Screen) Done() <-chan struct{} { return s.done }

// hanging is how long a terminal may take that does not read what is written to it.
const hanging = 2 * time.Second

// Close gives the terminal back as it was. It may be called more than once, and while
// somebody presses keys. The error is one of the screen that ended it.
func (s *Screen) Close() error {
	s.cancel()
	go s.program.Quit()
	timer := time.NewTimer(hanging)
	defer timer.Stop()
	select {
	case <-s.done:
		s.others.Wait()
		return s.err
	case <-timer.C:
		return errors.Join(errors.New("giving back the terminal: it does not take what is written to it"), s.restore())
	}
}

// follow sends each status, but not more often than people can read.
func (s *Screen) follow(ctx context.Context) {
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for version := uint64(0); ; {
		status, err := s.opts.Board.Wait(ctx, version)
		if err != nil {
			return
		}
		version = status.Version
		s.program.Send(statusMsg{status})
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask wants the target's frontier; an older question is forgotten. It is called by one
// goroutine.
func (s *Screen) ask(target string) {
	if target == "" {
		return
	}
	select {
	case <-s.asked:
	default:
	}
	select {
	case s.asked <- target:
	default:
	}
}

// answer answers what is asked, again only where there is something new to tell.
func (s *Screen) answer(ctx context.Context) {
	type last struct {
		edges int
		at    time.Time
	}
	answered := map[string]last{}
	for {
		var target string
		select {
		case target = <-s.asked:
		case <-ctx.Done():
			return
		}
		t := s.opts.Board.Status().Target(target)
		if t == nil || t.Stats.Corpus == 0 {
			continue
		}
		before, again := answered[target]
		if again && (before.edges == t.Stats.Edges || time.Since(before.at) < s.opts.BlockedEvery) {
			continue
		}
		list, err := s.opts.Blocked(ctx, target)
		if ctx.Err() != nil {
			return
		}
		edges := t.Stats.Edges
		if err != nil {
			edges = -1 // ask again
		}
		answered[target] = last{edges, time.Now()}
		s.program.Send(blockedMsg{target, blocked{list, err, err == nil}})
	}
}
