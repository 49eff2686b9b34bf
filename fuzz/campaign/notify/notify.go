// Package notify tells others over HTTP what happens in a campaign: new findings, targets
// that failed, the end.
package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// Options say who is told.
type Options struct {
	Hooks []Hook
	// Queue is how many notifications wait for one hook at most; more are dropped and
	// counted. 0 means 64.
	Queue int
	// Attempts is how often a notification is tried; 0 means 5. Between them there is
	// Backoff, 0 means a second, twice as long each time, or what the server asks for, up
	// to a minute.
	Attempts int
	Backoff  time.Duration
	// Timeout is how long one attempt takes at most; 0 means 10 s.
	Timeout time.Duration
	// Warn is told what could not be delivered, from any goroutine; nil drops it. It never
	// has a URL in it.
	Warn func(error)

	wait func(ctx context.Context, d time.Duration) error // instead of waiting, in tests
}

// longest is how long a server can have a notification wait.
const longest = time.Minute

func (o Options) withDefaults() Options {
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.Attempts <= 0 {
		o.Attempts = 5
	}
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.wait == nil {
		o.wait = wait
	}
	return o
}

// Counts are what became of notifications, over all hooks.
type Counts struct{ Sent, Failed, Dropped uint64 }

// Notifier posts notifications in the background. It is safe for concurrent use.
type Notifier struct {
	opts   Options
	client http.Client
	queues []chan *Event // of the hooks
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex // sending and closing queues
	closed bool

	sent, failed, dropped atomic.Uint64
}

// New returns a Notifier that has to be closed.
func New(opts Options) (*Notifier, error) {
	opts = opts.withDefaults()
	opts.Hooks = slices.Clone(opts.Hooks)
	for i := range opts.Hooks {
		if err := opts.Hooks[i].check(i); err != nil {
			return nil, err
		}
	}
	n := &Notifier{opts: opts, client: http.Client{
		Timeout: opts.Timeout,
		// Who is redirected would be told by somebody whom nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	for i := range opts.Hooks {
		queue := make(chan *Event, opts.Queue)
		n.queues = append(n.queues, queue)
		n.work.Go(func() { n.post(ctx, &n.opts.Hooks[i], queue) })
	}
	return n, nil
}

// Follow sends what happens on the board until ctx ends or the campaign has.
func (n *Notifier) Follow(ctx context.Context, board *campaign.Board) {
	w := newWatcher()
	for version := uint64(0); ; {
		s, err := board.Wait(ctx, version)
		if err != nil {
			return
		}
		version = s.Version
		for _, e := range w.events(s) {
			n.Send(e)
		}
		if s.Ended {
			return
		}
	}
}

// Send hands an event to every hook and returns at once. Where a queue is full, the event
// is dropped.
func (n *Notifier) Send(e *Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		n.dropped.Add(uint64(len(n.queues)))
		return
	}
	for _, queue := range n.queues {
		select {
		case queue <- e:
		default:
			n.dropped.Add(1)
		}
	}
}

// Counts returns what became of notifications so far.
func (n *Notifier) Counts() Counts {
	return Counts{n.sent.Load(), n.failed.Load(), n.dropped.Load()}
}

// Close posts what is waiting until ctx ends, and drops what is left then. The error says
// how many notifications were not delivered in all.
func (n *Notifier) Close(ctx context.Context) error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		for _, queue := range n.queues {
			close(queue)
		}
	}
	n.mu.Unlock()
	stop := context.AfterFunc(ctx, n.cancel)
	n.work.Wait()
	stop()
	n.cancel()
	n.client.CloseIdleConnections()
	if c := n.Counts(); c.Failed+c.Dropped > 0 {
		return fmt.Errorf("notifications: %d could not be delivered and %d had to be dropped, %d were sent", c.Failed, c.Dropped, c.Sent)
	}
	return nil
}

// post posts what is in the queue of a hook, one after the other.
func (n *Notifier) post(ctx context.Context, h *Hook, queue <-chan *Event) {
	for e := range queue {
		if ctx.Err() != nil {
			n.dropped.Add(1)
			continue
		}
		if err := n.deliver(ctx, h, e); err != nil {
			n.failed.Add(1)
			n.opts.Warn(fmt.Errorf("notifying %s of %s: %w", h.name, e.Event, err))
			continue
		}
		n.sent.Add(1)
	}
}

// deliver tries until the hook takes the event, refuses it, or there were enough attempts.
func (n *Notifier) deliver(ctx context.Context, h *Hook, e *Event) error {
	body, err := h.Format.body(e)
	if err != nil {
		return err
	}
	pause := n.opts.Backoff
	for attempt := 1; ; attempt++ {
		again, after, err := n.attempt(ctx, h, body)
		if err == nil {
			return nil
		}
		if !again || attempt == n.opts.Attempts {
			return fmt.Errorf("attempt %d: %w", attempt, err)
		}
		if after == 0 {
			after = pause
			pause *= 2
		}
		if err := n.opts.wait(ctx, min(after, longest)); err != nil {
			return errors.New("there was no time left for another attempt")
		}
	}
}

// attempt posts once. Again says that it may go better later, after how long the server
// asks to wait, 0 where it does not.
func (n *Notifier) attempt(ctx context.Context, h *Hook, body []byte) (again bool, after time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return false, 0, errors.New("its URL cannot be posted to")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "bpffuzz")
	answer, err := n.client.Do(request)
	if err != nil {
		return true, 0, withoutURL(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
	switch code := answer.StatusCode; {
	case code/100 == 2:
		return false, 0, nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code/100 == 5:
		return true, retryAfter(answer.Header.Get("Retry-After"), time.Now()), fmt.Errorf("it answered %d %s", code, http.StatusText(code))
	case code/100 == 3:
		return false, 0, fmt.Errorf("it answered %d %s, which is not followed: give the URL that it leads to", code, http.StatusText(code))
	default:
		return false, 0, fmt.Errorf("it answered %d %s", code, http.StatusText(code))
	}
}

// retryAfter reads a header in seconds or as a date, 0 for none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
