package exchange

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// Lane is what a node shares of one target. It is a fuzz.Inbox, and safe for concurrent
// use.
type Lane struct {
	node  *Node
	topic string
	shape *corpus.Shape

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // there is something to announce
	room   chan struct{} // there is room in the inbox

	waiting atomic.Int64 // inputs in the inbox

	mu       sync.Mutex
	known    map[hash]*corpus.Input // entries that need not be run, nor announced again; nil for those of others
	queue    []message              // to be announced, in order
	inbox    []arrived
	taken    map[*corpus.Input]uint64
	track    track
	findings map[string]Finding
	peers    map[string]Stats
	counts   Counts
	warned   map[string]bool
}

var _ fuzz.Inbox = (*Lane)(nil)

// Counts are how much a lane shared since it was joined.
type Counts struct {
	// Announced entries and findings were the first of their kind, Refused were there
	// already, Queued wait to be announced.
	Announced, Refused uint64
	Queued             int
	// Received entries of others came in, of which Ran were run.
	Received, Ran uint64
	// Corrupt messages were not what they said, Unfit entries are no inputs of the target,
	// Unshared ones are too large for the servers, or these are full, or corrupt messages took
	// all their subjects.
	Corrupt, Unfit, Unshared uint64
}

// message is something to be announced.
type message struct {
	subject string
	data    []byte
}

// arrived is an entry of another machine.
type arrived struct {
	in  *corpus.Input
	seq uint64
}

const (
	// inFlight is how many messages are announced without waiting for an answer.
	inFlight = 256
	// handful is how many inputs a worker takes at a time, crowd how many wait for workers
	// before no more are received.
	handful = 32
	crowd   = 1024
	// notedEvery is how often the places are written.
	notedEvery = time.Second
)

// Join begins to share entries of a target: own, the corpus that this machine has, are
// announced as far as the servers do not have them, and not run again when they come back.
// Close the lane when the target's run ends.
func (n *Node) Join(ctx context.Context, shape *corpus.Shape, own []*corpus.Input) (*Lane, error) {
	l := &Lane{
		node: n, topic: Topic(shape), shape: shape, wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		known: map[hash]*corpus.Input{}, taken: map[*corpus.Input]uint64{}, findings: map[string]Finding{}, peers: map[string]Stats{}, warned: map[string]bool{},
	}
	there, err := n.subjects(ctx, l.topic)
	if err != nil {
		return nil, err
	}
	for _, in := range own {
		encoded := corpus.Encode(in)
		h := hashOf(encoded)
		if subject, _ := l.subject(h); l.known[h] == nil && !there[subject] {
			l.enqueue(h, encoded)
		}
		l.known[h] = in
	}
	l.track.last = n.places.get(l.topic)
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, loop := range []func(){l.announce, l.receive, l.hear, l.note} {
		l.done.Go(loop)
	}
	n.mu.Lock()
	n.lanes = append(n.lanes, l)
	n.mu.Unlock()
	l.wakeUp()
	return l, nil
}

// subjects returns which entries of a topic the servers have.
func (n *Node) subjects(ctx context.Context, topic string) (map[string]bool, error) {
	info, err := n.corpus.Info(ctx, jetstream.WithSubjectFilter(corpusSubject+topic+".*"))
	if err != nil {
		return nil, fmt.Errorf("asking the exchange at %s which entries of %s it has: %w", n.URL(), topic, err)
	}
	there := make(map[string]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		there[subject] = true
	}
	return there, nil
}

// Keep announces corpus entries, which nobody changes from then on, and returns at once. It can stand in for the Keep of
// fuzz.Options, or be called by it.
func (l *Lane) Keep(inputs ...*corpus.Input) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range inputs {
		encoded := corpus.Encode(in)
		h := hashOf(encoded)
		if _, there := l.known[h]; there {
			continue // it came from there
		}
		l.known[h] = in
		l.enqueue(h, encoded)
	}
	l.wakeUp()
}

// Finding announces a finding, and returns at once.
func (l *Lane) Finding(f Finding) {
	f.Node, f.At = l.node.opts.Name, time.Now().UTC()
	data, err := json.Marshal(&f)
	if err != nil {
		l.node.opts.warn("sharing finding %s: %w", f.Key, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, message{findingSubject + l.topic + "." + word(f.Key), data})
	l.wakeUp()
}

// Report says how this machine stands. It is dropped where the exchange is cut off.
func (l *Lane) Report(s Stats) {
	s.Node, s.At = l.node.opts.Name, time.Now().UTC()
	c := l.Counts()
	s.Announced, s.Received, s.Ran = c.Announced, c.Received, c.Ran
	data, err := json.Marshal(&s)
	if err == nil && l.node.conn.IsConnected() {
		err = l.node.conn.Publish(nodeSubject+l.topic+"."+nodeWord(s.Node), data)
	}
	if err != nil {
		l.warnOnce("statistics", fmt.Errorf("sharing statistics: %w", err))
	}
}

// Findings returns those of all machines, this one included, by key.
func (l *Lane) Findings() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.findings), func(a, b Finding) int { return cmp.Compare(a.Key, b.Key) })
}

// Peers returns how the other machines stand, by name. One of which nothing was heard for
// a minute is left out.
func (l *Lane) Peers() []Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []Stats
	for _, s := range l.peers {
		if s.Node != l.node.opts.Name && time.Since(s.At) < fade {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b Stats) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

// Counts returns how much was shared.
func (l *Lane) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.Queued = len(l.queue)
	return c
}

// Take implements fuzz.Inbox.
func (l *Lane) Take() []*corpus.Input {
	if l.waiting.Load() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.inbox), handful)
	inputs := make([]*corpus.Input, 0, n)
	for _, a := range l.inbox[:n] {
		inputs = append(inputs, a.in)
		l.taken[a.in] = a.seq
	}
	l.inbox = slices.Delete(l.inbox, 0, n)
	l.waiting.Store(int64(len(l.inbox)))
	select {
	case l.room <- struct{}{}:
	default:
	}
	return inputs
}

// Ran implements fuzz.Inbox.
func (l *Lane) Ran(inputs []*corpus.Input) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range inputs {
		seq, ok := l.taken[in]
		if !ok {
			continue
		}
		delete(l.taken, in)
		l.counts.Ran++
		l.track.ran(seq)
	}
	l.node.places.set(l.topic, l.track.place())
}

// Settled reports whether all that was kept and found here is announced, and all that the
// others announced so far was run.
func (l *Lane) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0 && len(l.inbox) == 0 && len(l.taken) == 0
}

func (l *Lane) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// note writes how far the topic was run.
func (l *Lane) note() {
	tick := time.NewTicker(notedEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := l.node.places.write(); err != nil {
				l.warnOnce("places", err)
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// warnOnce says something once.
func (l *Lane) warnOnce(what string, err error) {
	l.mu.Lock()
	said := l.warned[what]
	l.warned[what] = true
	l.mu.Unlock()
	if !said {
		l.node.opts.warn("%w", err)
	}
}

// Close announces what is queued, as far as servers answer within seconds, and ends the
// lane. What is taken and has not been run is run another time.
func (l *Lane) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for l.node.conn.IsConnected() && l.Counts().Queued > 0 && ctx.Err() == nil {
		l.wakeUp()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	l.cancel()
	l.done.Wait()
	l.node.mu.Lock()
	l.node.lanes = slices.DeleteFunc(l.node.lanes, func(other *Lane) bool { return other == l })
	l.node.mu.Unlock()
	err := l.node.places.write()
	if n := l.Counts().Queued; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d entries or findings of %s are not shared yet, since the exchange does not answer: they are announced by the next run", n, l.shape.Program))
	}
	return err
}
