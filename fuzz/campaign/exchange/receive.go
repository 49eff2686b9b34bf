package exchange

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bpffuzz/bpffuzz/mutate"
)

// receive puts what others announce into the inbox until the lane is closed.
func (l *Lane) receive() {
	l.follow(l.node.corpus, func() jetstream.OrderedConsumerConfig {
		l.mu.Lock()
		defer l.mu.Unlock()
		return jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{corpusSubject + l.topic + ".*"}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: l.track.last + 1,
		}
	}, l.took)
}

// hear keeps up with findings and machines until the lane is closed.
func (l *Lane) hear() {
	newest := func(subject string) func() jetstream.OrderedConsumerConfig {
		return func() jetstream.OrderedConsumerConfig {
			return jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject + l.topic + ".*"}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy}
		}
	}
	l.done.Go(func() { l.follow(l.node.nodes, newest(nodeSubject), l.heardNode) })
	l.follow(l.node.findings, newest(findingSubject), l.heardFinding)
}

// follow calls each with the messages of a stream, in order, again from where config says
// when servers were gone for too long.
func (l *Lane) follow(stream jetstream.Stream, config func() jetstream.OrderedConsumerConfig, each func(jetstream.Msg, uint64)) {
	for l.ctx.Err() == nil {
		err := l.consume(stream, config(), each)
		if err == nil || l.ctx.Err() != nil {
			continue
		}
		l.warnOnce("receiving", fmt.Errorf("receiving from the exchange: %w; it is tried again", err))
		select {
		case <-time.After(reconnectWait):
		case <-l.ctx.Done():
		}
	}
}

func (l *Lane) consume(stream jetstream.Stream, config jetstream.OrderedConsumerConfig, each func(jetstream.Msg, uint64)) error {
	consumer, err := stream.OrderedConsumer(l.ctx, config)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(l.ctx))
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading a message's number: %w", err)
		}
		each(m, meta.Sequence.Stream)
	}
}

// took looks at an entry that came, and waits where the inbox is full.
func (l *Lane) took(m jetstream.Msg, seq uint64) {
	in, h, err := entry(m.Subject(), m.Data())
	unfit := err
	if err == nil {
		in, unfit = mutate.Fit(l.shape, in)
	}
	l.mu.Lock()
	_, there := l.known[h]
	switch {
	case seq <= l.track.last: // a server that came back repeats itself
		l.mu.Unlock()
		return
	case err != nil:
		l.counts.Corrupt++
		l.spoil(m.Subject())
		l.track.passed(seq)
	case there:
		l.track.passed(seq)
	case unfit != nil:
		l.counts.Unfit++
		l.track.passed(seq)
	default:
		l.known[h] = nil
		l.counts.Received++
		l.track.came(seq)
		l.inbox = append(l.inbox, arrived{in, seq})
		l.waiting.Store(int64(len(l.inbox)))
	}
	l.node.places.set(l.topic, l.track.place())
	full := len(l.inbox) >= crowd
	l.mu.Unlock()
	if err != nil {
		l.warnOnce("corrupt", fmt.Errorf("refusing message %d of the exchange: %w", seq, err))
	}
	for full {
		select {
		case <-l.room:
			full = l.waiting.Load() >= crowd
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *Lane) heardFinding(m jetstream.Msg, seq uint64) {
	var f Finding
	err := jsonOf(m.Data(), &f)
	if err == nil && word(f.Key) != lastWord(m.Subject()) {
		err = errCorrupt
	}
	l.mu.Lock()
	if err == nil {
		l.findings[f.Key] = f
	} else {
		l.counts.Corrupt++
	}
	l.mu.Unlock()
	if err != nil {
		l.warnOnce("corrupt finding", fmt.Errorf("refusing finding %d of the exchange: %w", seq, err))
	}
}

func (l *Lane) heardNode(m jetstream.Msg, _ uint64) {
	var s Stats
	err := jsonOf(m.Data(), &s)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || nodeWord(s.Node) != lastWord(m.Subject()) {
		l.counts.Corrupt++
		return
	}
	l.peers[s.Node] = s
}
