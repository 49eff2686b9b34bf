package exchange

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// announce publishes what is queued until the lane is closed. What servers do not confirm
// stays in the queue.
func (l *Lane) announce() {
	for {
		select {
		case <-l.wake:
		case <-l.ctx.Done():
			return
		}
		for l.announceSome() {
			if l.ctx.Err() != nil {
				return
			}
		}
	}
}

// announceSome publishes the first messages of the queue, and reports whether there is
// reason to go on at once.
func (l *Lane) announceSome() bool {
	l.mu.Lock()
	batch := l.queue[:min(len(l.queue), inFlight)]
	l.mu.Unlock()
	if len(batch) == 0 || !l.node.conn.IsConnected() {
		return false // reconnecting wakes the lane up
	}
	answers := make([]jetstream.PubAckFuture, len(batch))
	errs := make([]error, len(batch))
	for i, m := range batch {
		answers[i], errs[i] = l.node.js.PublishMsgAsync(&nats.Msg{Subject: m.subject, Data: m.data})
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var left []message
	var failed error
	for i, m := range batch {
		err := errs[i]
		if err == nil {
			err = l.answer(answers[i], timeout.C)
		}
		if !l.settle(m, err) {
			left, failed = append(left, m), err
		}
	}
	l.mu.Lock()
	l.queue = append(left, l.queue[len(batch):]...)
	l.mu.Unlock()
	if failed == nil {
		return true
	}
	l.warnOnce("announcing", fmt.Errorf("announcing to the exchange: %w; it is tried again", failed))
	select {
	case <-time.After(reconnectWait):
	case <-l.ctx.Done():
	}
	return true
}

var errNoAnswer = errors.New("no answer from the servers")

// answer waits for a server's answer, for all of a batch until the same time.
func (l *Lane) answer(a jetstream.PubAckFuture, timeout <-chan time.Time) error {
	select {
	case <-a.Ok():
		return nil
	case err := <-a.Err():
		return err
	case <-timeout:
		return errNoAnswer
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// settle reports whether a message needs not be announced again, and counts why.
func (l *Lane) settle(m message, err error) bool {
	var reason string
	switch {
	case err == nil:
		l.count(func(c *Counts) { c.Announced++ })
		return true
	case refuses(err, "maximum messages per subject exceeded"):
		l.count(func(c *Counts) { c.Refused++ }) // it is there
		return true
	case refuses(err, "maximum bytes exceeded"), refuses(err, "maximum messages exceeded"):
		reason = "the servers keep no more"
	case errors.Is(err, nats.ErrMaxPayload), refuses(err, "message size exceeds maximum allowed"):
		reason = fmt.Sprintf("the servers take no message of %d bytes", len(m.data))
	default:
		return false
	}
	l.count(func(c *Counts) { c.Unshared++ })
	l.warnOnce("unshared", fmt.Errorf("not everything is shared: %s", reason))
	return true
}

// refuses reports whether an error is a server's answer with that text.
func refuses(err error, text string) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && strings.Contains(api.Description, text)
}

func (l *Lane) count(change func(*Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.counts)
}
