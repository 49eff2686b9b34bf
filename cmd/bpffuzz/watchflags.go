package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign/metrics"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign/serve"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign/web"
)

// watchFlags say who watches a run or a campaign, and how.
type watchFlags struct {
	http      string // address of the dashboard
	metrics   string // address
	tokenFile string
	noTUI     bool
	webhooks  webhookFlags

	token string // once checked
}

func (f *watchFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.http, "http", "", "serve a dashboard for browsers at this `address`, such as 127.0.0.1:8080, and metrics under /metrics; port 0 takes a free one")
	flags.StringVar(&f.metrics, "metrics", "", "serve metrics for Prometheus under /metrics at this `address`, such as 127.0.0.1:9464")
	flags.StringVar(&f.tokenFile, "token-file", "", "`file` with a token that those who ask over HTTP have to know; without it only this machine is answered")
	flags.BoolVar(&f.noTUI, "no-tui", false, "write plain lines on a terminal too, instead of showing a screen")
	f.webhooks.register(cmd)
	_ = cmd.MarkFlagFilename("token-file")
}

// check refuses what cannot be done before anything is loaded, and reads the token.
func (f *watchFlags) check() (err error) {
	if f.token, err = readToken(f.tokenFile); err != nil {
		return err
	}
	return cmp.Or(f.webhooks.check(), checkAddr("--http", f.http, f.token), checkAddr("--metrics", f.metrics, f.token))
}

// checkAddr refuses an address that other machines reach and nobody needs a token for.
func checkAddr(flag, addr, token string) error {
	if addr == "" {
		return nil
	}
	switch _, err := serve.Loopback(addr); {
	case errors.Is(err, serve.ErrElsewhere) && token != "":
		return nil
	case errors.Is(err, serve.ErrElsewhere):
		return usageError("%s %s: %w; --token-file names a file with one", flag, addr, err)
	case err != nil:
		return usageError("%s %s: %w", flag, addr, err)
	}
	return nil
}

// watching are those who watch.
type watching struct {
	u       *ui
	board   *campaign.Board
	servers []*serve.Server
	told    *notifying // nil without webhooks
	shown   *shown     // nil without a screen
}

// watched is what they watch.
type watched struct {
	board *campaign.Board
	// blocked tells what no input of a target gets past, while it is being fuzzed.
	blocked func(ctx context.Context, target string) ([]campaign.Blocked, error)
	// details are what the dashboard shows of a target besides; nil for nothing.
	details campaign.Details
}

// start lets them watch until it is closed.
func (f *watchFlags) start(ctx context.Context, u *ui, what watched) (*watching, error) {
	board := what.board
	w := &watching{u: u, board: board}
	if err := cmp.Or(w.dashboard(f, what.details), w.serve(f)); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	var err error
	if w.told, err = f.webhooks.start(u, board); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if !f.noTUI {
		w.shown = show(ctx, u, what)
	}
	u.note(func(target, text string, warning bool) {
		board.Update(func(s *campaign.Status) {
			s.Notify(campaign.Notice{At: time.Now(), Target: target, Text: notice(text), Warning: warning})
		})
	})
	return w, nil
}

// dashboard starts the dashboard, if it is asked for.
func (w *watching) dashboard(f *watchFlags, details campaign.Details) error {
	if f.http == "" {
		return nil
	}
	pages, err := web.New(web.Options{Board: w.board, Details: details, Token: f.token, Version: version()})
	if err != nil {
		return err
	}
	all := http.NewServeMux()
	all.Handle("/", pages)
	all.Handle("/metrics", w.metrics(f))
	s, err := serve.Start(serve.Options{Addr: f.http, Flag: "--http", Token: f.token, Handler: all})
	if err != nil {
		return err
	}
	w.servers = append(w.servers, s)
	w.u.say("the dashboard is at http://%s/", s.Addr())
	return nil
}

// metrics answers Prometheus.
func (w *watching) metrics(f *watchFlags) http.Handler {
	return serve.Guard(f.token, metrics.Handler(metrics.Registry(w.board, version())))
}

// serve starts the server of metrics, if it is asked for.
func (w *watching) serve(f *watchFlags) error {
	if f.metrics == "" {
		return nil
	}
	all := http.NewServeMux()
	all.Handle("/metrics", w.metrics(f))
	s, err := serve.Start(serve.Options{Addr: f.metrics, Flag: "--metrics", Token: f.token, Handler: all})
	if err != nil {
		return err
	}
	w.servers = append(w.servers, s)
	w.u.say("metrics are at http://%s/metrics", s.Addr())
	return nil
}

// How long those who watch may take to get what they asked for, and notifications that
// are left.
const (
	closing    = 2 * time.Second
	delivering = 10 * time.Second
)

// Close says that nothing more is going to come, and ends what start began.
func (w *watching) Close() error {
	w.unshow()
	w.u.note(nil)
	w.board.Update(func(s *campaign.Status) { s.Ended = true })
	w.notified()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	var errs []error
	for _, s := range w.servers {
		errs = append(errs, s.Close(ctx))
	}
	return errors.Join(errs...)
}

// unshow ends the screen: what is said from now on is written in lines.
func (w *watching) unshow() { w.shown.Close() }

// notified waits for the last notifications. That some were lost is no failure of what
// they are about.
func (w *watching) notified() {
	ctx, cancel := context.WithTimeout(context.Background(), delivering)
	defer cancel()
	if err := w.told.Close(ctx); err != nil {
		w.u.warn("%v", err)
	}
}
