package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign/notify"
)

// webhookFlags say who is told of findings, targets that fail, and the end.
type webhookFlags struct {
	urls   []string
	format string
	http   bool

	more  []campaign.Webhook // of a campaign file
	hooks []notify.Hook      // once checked
}

func (f *webhookFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.urls, "webhook", nil, "post new findings, targets that fail and the end to this `URL`; file:PATH or env:NAME keep it out of the process list (may be repeated)")
	flags.StringVar(&f.format, "webhook-format", string(notify.Generic), "what is posted: generic or slack")
	flags.BoolVar(&f.http, "webhook-allow-http", false, "allow webhooks of http on other machines, which can be read on the way")
	_ = cmd.RegisterFlagCompletionFunc("webhook-format", cobra.FixedCompletions([]string{string(notify.Generic), string(notify.Slack)}, cobra.ShellCompDirectiveNoFileComp))
}

// check reads the URLs and refuses those that cannot be posted to.
func (f *webhookFlags) check() error {
	f.hooks = nil
	for _, one := range f.urls {
		url, err := notify.Source(one).URL()
		if err != nil {
			return usageError("--webhook: %w", err)
		}
		f.hooks = append(f.hooks, notify.Hook{URL: url, Format: notify.Format(f.format), HTTP: f.http})
	}
	for _, one := range f.more {
		source := notify.Source("env:" + one.URLEnv)
		if one.URLFile != "" {
			source = notify.Source("file:" + one.URLFile)
		}
		url, err := source.URL()
		if err != nil {
			return usageError("%s: %w", one.At, err)
		}
		f.hooks = append(f.hooks, notify.Hook{URL: url, Format: notify.Format(one.Format), HTTP: one.HTTP})
	}
	if err := notify.Check(f.hooks); err != nil {
		return usageError("webhooks: %w", err)
	}
	switch notify.Format(f.format) {
	case "": // of commands that tell nobody
		return nil
	case notify.Generic, notify.Slack:
		return nil
	}
	return usageError("--webhook-format %q: choose %s or %s", f.format, notify.Generic, notify.Slack)
}

// notifying tells those who are told by webhooks.
type notifying struct {
	notifier *notify.Notifier
	follow   sync.WaitGroup
	stop     context.CancelFunc
}

// start tells hooks what happens on the board; nil without any.
func (f *webhookFlags) start(u *ui, board *campaign.Board) (*notifying, error) {
	if len(f.hooks) == 0 {
		return nil, nil
	}
	notifier, err := notify.New(notify.Options{Hooks: f.hooks, Warn: func(err error) { u.warn("%v", err) }})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &notifying{notifier: notifier, stop: stop}
	n.follow.Go(func() { notifier.Follow(ctx, board) })
	return n, nil
}

// Close delivers what is left, until ctx ends. The campaign has ended on the board.
func (n *notifying) Close(ctx context.Context) error {
	if n == nil {
		return nil
	}
	n.follow.Wait()
	n.stop()
	return n.notifier.Close(ctx)
}
