package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Node is a machine's part in an exchange. It is safe for concurrent use.
type Node struct {
	opts   Options
	host   string
	server *server.Server // nil where others are used
	conn   *nats.Conn
	js     jetstream.JetStream
	// corpus and findings keep a message for each subject, the first one; nodes the last one.
	corpus, findings, nodes jetstream.Stream
	places                  *places

	mu    sync.Mutex
	lanes []*Lane
}

// Open connects to the servers of an exchange, or starts one, and makes the streams that
// are missing. The error says what to do where it is refused or does not answer.
func Open(ctx context.Context, opts Options) (*Node, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this machine in the exchange: %w", err)
	}
	opts.Name = cmp.Or(opts.Name, host)
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of the exchange: %w", err)
	}
	n := &Node{opts: opts, host: host}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) (err error) {
	if n.places, err = readPlaces(n.opts.Dir); err != nil {
		return err
	}
	if len(n.opts.URLs) == 0 {
		if n.server, err = serve(&n.opts); err != nil {
			return err
		}
	}
	if err := n.connect(); err != nil {
		return err
	}
	if n.js, err = jetstream.New(n.conn, jetstream.WithPublishAsyncMaxPending(inFlight), jetstream.WithDefaultTimeout(patience)); err != nil {
		return fmt.Errorf("using the exchange at %s: %w", n.conn.ConnectedUrlRedacted(), err)
	}
	return n.makeStreams(ctx)
}

func (n *Node) connect() error {
	config, err := n.opts.tls()
	if err != nil {
		return err
	}
	dial := n.opts.dial()
	if config != nil && n.server == nil { // within the process nobody listens
		dial = append(dial, nats.Secure(config))
	}
	dial = append(dial,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				n.opts.warn("the exchange is cut off: %w; what is found meanwhile is shared later", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { n.reconnected() }))
	where := strings.Join(n.opts.URLs, ",")
	if n.server != nil {
		dial = append(dial, nats.InProcessServer(n.server))
		where = "nats://127.0.0.1" // which nobody asks
	}
	if n.conn, err = nats.Connect(where, dial...); err != nil {
		return fmt.Errorf("connecting to the exchange at %s: %w", redacted(where), err)
	}
	return nil
}

// redacted leaves out passwords of a list of servers.
func redacted(urls string) string {
	var list []string
	for text := range strings.SplitSeq(urls, ",") {
		if _, host, found := strings.Cut(text, "@"); found {
			text = host
		}
		list = append(list, text)
	}
	return strings.Join(list, ",")
}

// Streams and the beginning of their subjects, which go on with a topic and a name.
const (
	corpusStream   = "bpffuzz_corpus"
	findingsStream = "bpffuzz_findings"
	nodesStream    = "bpffuzz_nodes"
	corpusSubject  = "bpffuzz.corpus."
	findingSubject = "bpffuzz.finding."
	nodeSubject    = "bpffuzz.node."

	// fade is after how long without news a node counts as gone.
	fade = time.Minute
)

// makeStreams makes the streams, or takes those that are there. Of corpus entries and
// findings the servers refuse a second message of a subject.
func (n *Node) makeStreams(ctx context.Context) error {
	once := func(name, subject string, bytes int64) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subject + ">"}, Storage: jetstream.FileStorage, Replicas: n.replicas(),
			MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxBytes: bytes,
			Compression: jetstream.S2Compression, DenyDelete: true, DenyPurge: true,
		}
	}
	last := jetstream.StreamConfig{
		Name: nodesStream, Subjects: []string{nodeSubject + ">"}, Storage: jetstream.MemoryStorage, Replicas: n.replicas(),
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, MaxAge: fade, MaxBytes: 16 << 20,
	}
	for _, s := range []struct {
		stream *jetstream.Stream
		config jetstream.StreamConfig
	}{
		{&n.corpus, once(corpusStream, corpusSubject, cmp.Or(n.opts.MaxBytes, 1<<30))},
		{&n.findings, once(findingsStream, findingSubject, 256<<20)},
		{&n.nodes, last},
	} {
		stream, err := n.makeStream(ctx, s.config)
		if err != nil {
			return fmt.Errorf("opening stream %s of the exchange at %s: %w", s.config.Name, n.conn.ConnectedUrlRedacted(), err)
		}
		*s.stream = stream
	}
	info, err := n.corpus.Info(ctx)
	if err != nil {
		return fmt.Errorf("asking for stream %s of the exchange: %w", corpusStream, err)
	}
	return n.places.of(info.Created, info.State.LastSeq)
}

// makeStream waits for servers that are about to choose a leader.
func (n *Node) makeStream(ctx context.Context, config jetstream.StreamConfig) (stream jetstream.Stream, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, patience)
		if stream, err = n.js.Stream(try, config.Name); errors.Is(err, jetstream.ErrStreamNotFound) {
			stream, err = n.js.CreateStream(try, config)
		}
		stop()
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			continue // another node was faster
		}
		if err == nil || !transient(err) {
			return stream, err
		}
		select {
		case <-time.After(reconnectWait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// transient reports whether a server may have another answer in a moment.
func transient(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return !ok || api.Code == 503
}

func (n *Node) replicas() int {
	if n.opts.Replicas > 0 {
		return n.opts.Replicas
	}
	if len(n.conn.DiscoveredServers())+1 >= 3 || len(n.conn.Servers()) >= 3 {
		return 3
	}
	return 1
}

// URL is where others reach the exchange: where it listens at every address of the machine,
// by the machine's name.
func (n *Node) URL() string {
	if n.server == nil {
		return n.conn.ConnectedUrlRedacted()
	}
	u, err := url.Parse(n.server.ClientURL())
	if err != nil {
		return n.server.ClientURL()
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort(n.host, u.Port())
	}
	return u.String()
}

// Name is how this machine is called in the exchange.
func (n *Node) Name() string { return n.opts.Name }

// reconnected has lanes announce what they could not.
func (n *Node) reconnected() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.lanes {
		l.wakeUp()
	}
}

// Close ends all lanes and gives connection and server back. What is not announced by
// then stays in the corpus directories, to be announced another time.
func (n *Node) Close() error {
	n.mu.Lock()
	lanes := n.lanes
	n.lanes = nil
	n.mu.Unlock()
	var err error
	for _, l := range lanes {
		err = errors.Join(err, l.Close())
	}
	if n.conn != nil {
		n.conn.Close()
	}
	if n.server != nil {
		n.server.Shutdown()
		n.server.WaitForShutdown()
	}
	if n.places != nil {
		err = errors.Join(err, n.places.write())
	}
	return err
}
