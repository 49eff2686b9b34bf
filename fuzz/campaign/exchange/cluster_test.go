package exchange

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// cluster is servers on loopback that keep streams together, each with its ports and its
// store, so that one that was killed comes back as itself.
type cluster struct {
	t       testing.TB
	host    string // an address of loopback that only this process uses
	opts    []*server.Options
	servers []*server.Server // nil where it is down
}

// newCluster starts three servers. Quiet ones do not tell clients of each other.
func newCluster(t testing.TB, quiet bool) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("three servers take seconds to choose their leaders")
	}
	pid := os.Getpid()
	c := &cluster{t: t, host: fmt.Sprintf("127.%d.%d.%d", 1+pid>>16%250, pid>>8%256, 1+pid%250), servers: make([]*server.Server, 3)}
	dir := t.TempDir()
	var routes []*url.URL
	ports := c.freePorts(2 * len(c.servers))
	for i := range c.servers {
		client, route := ports[2*i], ports[2*i+1]
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("%s:%d", c.host, route)})
		c.opts = append(c.opts, &server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: c.host, Port: client, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)), MaxPayload: maxPayload,
			Cluster: server.ClusterOpts{Name: "test", Host: c.host, Port: route, NoAdvertise: quiet, PoolSize: -1},
		})
	}
	for i := range c.servers {
		c.opts[i].Routes = routes
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.kill(i)
		}
	})
	return c
}

// freePorts returns ports of the cluster's address at which nothing listens.
func (c *cluster) freePorts(n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", c.host+":0")
		if err != nil {
			c.t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (c *cluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.opts[i].Clone())
	if err != nil {
		c.t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(long) {
		c.t.Fatalf("server %d is not ready", i)
	}
	c.servers[i] = s
}

// kill ends a server, as far as the others can tell without a word.
func (c *cluster) kill(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[i] = nil
	}
}

func (c *cluster) addr(i int) string { return fmt.Sprintf("%s:%d", c.host, c.opts[i].Port) }

func (c *cluster) urls() (list []string) {
	for i := range c.opts {
		list = append(list, "nats://"+c.addr(i))
	}
	return list
}

// leader returns which server leads the stream of corpus entries.
func (c *cluster) leader(n *Node) (leader int) {
	c.t.Helper()
	until(c.t, "the stream has a leader", func() bool {
		info, err := n.corpus.Info(c.t.Context())
		if err != nil || info.Cluster == nil || info.Cluster.Leader == "" {
			return false
		}
		_, err = fmt.Sscanf(info.Cluster.Leader, "s%d", &leader)
		return err == nil
	})
	return leader
}

// kept checks that each entry of [0, n) was stored once, by asking a node that was not
// there before.
func (c *cluster) kept(n int, opts Options) {
	c.t.Helper()
	late := open(c.t, "late", opts)
	e := &engine{join(c.t, late), map[int]int{}}
	e.untilRan(c.t, n, none)
	if len(e.ran) != n {
		c.t.Errorf("%d entries are kept, want %d", len(e.ran), n)
	}
	until(c.t, "the stream says how much it has", func() bool {
		info, err := late.corpus.Info(c.t.Context())
		if err == nil && info.State.Msgs != uint64(n) {
			c.t.Fatalf("the servers keep %d messages, want %d", info.State.Msgs, n)
		}
		return err == nil
	})
}

// TestServerKilled: the server that leads is killed while three machines announce. What
// they announce before, meanwhile and after is run by the others, once.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, false)
	var nodes []*Node
	var engines []*engine
	for i := range 3 {
		n := open(t, fmt.Sprint("n", i), Options{URLs: c.urls()})
		nodes = append(nodes, n)
		engines = append(engines, &engine{join(t, n, inputs(100*i, 100*i+50)...), map[int]int{}})
	}
	if info, err := nodes[0].corpus.Info(t.Context()); err != nil || info.Config.Replicas != 3 {
		t.Fatalf("the stream has %+v, %v: want three replicas", info, err)
	}
	until(t, "something was run", func() bool { engines[0].run(); return len(engines[0].ran) > 0 })
	dead := c.leader(nodes[0])
	for i, e := range engines {
		e.lane.Keep(inputs(100*i+50, 100*i+75)...)
	}
	c.kill(dead)
	for i, e := range engines {
		e.lane.Keep(inputs(100*i+75, 100*i+100)...)
	}
	for i, e := range engines {
		e.untilRan(t, 300, func(n int) bool { return n/100 == i })
	}
	c.start(dead)
	c.kept(300, Options{URLs: []string{"nats://" + c.addr(dead)}})
}

// TestAllRestarted: all servers go down and come back with what they had; machines that
// stayed share what they found meanwhile.
func TestAllRestarted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, false)
	a := &engine{join(t, open(t, "a", Options{URLs: c.urls()}), inputs(0, 100)...), map[int]int{}}
	b := &engine{join(t, open(t, "b", Options{URLs: c.urls()}), inputs(100, 200)...), map[int]int{}}
	a.untilRan(t, 200, func(n int) bool { return n < 100 })
	b.untilRan(t, 200, func(n int) bool { return n >= 100 })
	for i := range c.servers {
		c.kill(i)
	}
	a.lane.Keep(inputs(200, 250)...)
	b.lane.Keep(inputs(250, 300)...)
	for i := range c.servers {
		c.start(i)
	}
	a.untilRan(t, 300, func(n int) bool { return n < 100 || n >= 200 && n < 250 })
	b.untilRan(t, 300, func(n int) bool { return n >= 100 && n < 200 || n >= 250 })
	c.kept(300, Options{URLs: c.urls()})
}

// TestCutOff: a machine that the network cuts off goes on, and shares what it found once it
// is back; if it ends meanwhile, the run that follows does.
func TestCutOff(t *testing.T) {
	t.Parallel()
	c := newCluster(t, true)
	a := &engine{join(t, open(t, "a", Options{URLs: c.urls(), Replicas: 3}), inputs(0, 50)...), map[int]int{}}
	link := newLink(t, c.addr(0))
	opts := Options{URLs: []string{"nats://" + link.addr()}, Dir: t.TempDir(), Replicas: 3}
	n := open(t, "b", opts)
	own := inputs(50, 100)
	b := &engine{join(t, n, own...), map[int]int{}}
	b.untilRan(t, 100, func(n int) bool { return n >= 50 })
	a.untilRan(t, 100, func(n int) bool { return n < 50 })

	link.cut()
	until(t, "the cut is noticed", func() bool { return !n.conn.IsConnected() })
	own = append(own, inputs(100, 150)...)
	b.lane.Keep(inputs(100, 150)...)
	a.lane.Keep(inputs(150, 200)...)
	if got := b.lane.Counts().Queued; got != 50 {
		t.Errorf("%d entries wait to be announced, want 50", got)
	}
	link.mend()
	b.untilRan(t, 200, func(n int) bool { return n >= 50 && n < 150 })
	a.untilRan(t, 200, func(n int) bool { return n < 50 || n >= 150 })

	link.cut()
	until(t, "the cut is noticed", func() bool { return !n.conn.IsConnected() })
	own = append(own, inputs(200, 250)...)
	b.lane.Keep(inputs(200, 250)...)
	if err := n.Close(); err == nil {
		t.Error("nothing is said of 50 entries that are not shared")
	}
	a.lane.Keep(inputs(250, 300)...)
	link.mend()
	b.lane = join(t, open(t, "b", opts), own...)
	b.untilRan(t, 300, func(n int) bool { return n >= 50 && n < 150 || n >= 200 && n < 250 })
	a.untilRan(t, 300, func(n int) bool { return n < 50 || n >= 150 && n < 200 || n >= 250 })
	c.kept(300, Options{URLs: c.urls(), Replicas: 3})
}
