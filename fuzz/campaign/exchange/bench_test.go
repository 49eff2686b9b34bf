package exchange

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// The ladders of a benchmark's target: the value of a rung is looked at once those below it
// are there. Nothing tells how near an input is to the next one.
const (
	ladders, rungs = 6, 3
	ladderEdges    = ladders*rungs + 1
)

// ladder is a target whose program is a Go function, with edges that are found one behind
// the other.
type ladder struct {
	shape *corpus.Shape
	table cover.Table
	seen  [ladderEdges]atomic.Bool
	left  atomic.Int64
	done  chan struct{} // closed once each edge was passed
	execs atomic.Uint64
}

func newLadder() *ladder {
	t := &ladder{shape: testShape(), done: make(chan struct{})}
	t.left.Store(ladderEdges)
	t.table.Probes = ladderEdges
	for i := range ladderEdges {
		t.table.Edges = append(t.table.Edges, cover.Edge{ID: uint64(i + 1), Func: "ladder", Kind: cover.Taken, From: i, To: i + 1, Probe: i})
	}
	return t
}

func (t *ladder) Shape() *corpus.Shape { return t.shape }
func (t *ladder) Table() *cover.Table  { return &t.table }

func (t *ladder) NewExecutor(int) (fuzz.Executor, error) {
	return &climber{t: t, batch: fuzz.NewBatch(64, t.shape.MaxSteps, fuzz.Room{Packet: t.shape.Packet.Max}), cover: make([]byte, t.table.Len())}, nil
}

type climber struct {
	t     *ladder
	batch *fuzz.Batch
	cover []byte
	trace []int
	alone corpus.Outcome
}

func (c *climber) Describe() string               { return "ladder" }
func (c *climber) Batch() *fuzz.Batch             { return c.batch }
func (c *climber) Cover() []byte                  { return c.cover }
func (c *climber) Close() error                   { return nil }
func (c *climber) Recreate(context.Context) error { return nil }

func (c *climber) Run(context.Context) error {
	clear(c.cover)
	c.trace = c.trace[:0]
	for i := range c.batch.Len() {
		c.input(c.batch.Input(i), c.batch.Outcome(i).Steps)
	}
	return nil
}

func (c *climber) Alone(_ context.Context, in *corpus.Input, _ corpus.Have) (*corpus.Outcome, error) {
	clear(c.cover)
	c.trace = c.trace[:0]
	c.alone.Have = corpus.HaveRet | corpus.HavePacket | corpus.HaveCover | corpus.HaveTrace
	c.alone.Steps = make([]corpus.StepOutcome, len(in.Steps))
	c.input(in, c.alone.Steps)
	c.alone.Cover, c.alone.Trace = c.cover, c.trace
	return &c.alone, nil
}

func (c *climber) input(in *corpus.Input, outcomes []corpus.StepOutcome) {
	c.t.execs.Add(uint64(len(in.Steps)))
	for i := range in.Steps {
		packet := in.Steps[i].Packet
		outcomes[i].Packet = append(outcomes[i].Packet[:0], packet...)
		outcomes[i].Ret = 2
		c.hit(0)
		for l := range ladders {
			c.climb(l, packet)
		}
	}
}

// climb goes up a ladder as far as the packet leads.
func (c *climber) climb(l int, packet []byte) {
	for r := range rungs {
		at := 14 + 2*(l*rungs+r)
		if at >= len(packet) || packet[at] != byte(at)*0x35+0x34 {
			return
		}
		c.hit(1 + l*rungs + r)
	}
}

func (c *climber) hit(edge int) {
	c.cover[edge] = 1
	c.trace = append(c.trace, edge)
	if c.t.seen[edge].CompareAndSwap(false, true) && c.t.left.Add(-1) == 0 {
		close(c.t.done)
	}
}

// BenchmarkUnion measures how long nodes with a worker each take until every one of them
// has passed all edges.
func BenchmarkUnion(b *testing.B) {
	for _, nodes := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			var execs uint64
			for i := range b.N {
				execs += union(b, nodes, uint64(i))
			}
			b.ReportMetric(float64(execs)/float64(b.N*nodes), "execs/node")
		})
	}
}

// frame is a packet in which all rungs are.
func frame() *corpus.Input {
	return &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 64)}}}
}

func union(b *testing.B, nodes int, seed uint64) (execs uint64) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var runs sync.WaitGroup
	var targets []*ladder
	var urls []string
	for i := range nodes {
		n, err := Open(ctx, Options{Name: fmt.Sprint("n", i), Dir: b.TempDir(), URLs: urls})
		if err != nil {
			b.Fatal(err)
		}
		defer n.Close()
		urls = []string{n.URL()} // the first one's, which has a server
		t := newLadder()
		targets = append(targets, t)
		lane, err := n.Join(ctx, t.shape, nil)
		if err != nil {
			b.Fatal(err)
		}
		runs.Go(func() {
			_, err := fuzz.Run(ctx, t, fuzz.Options{
				Workers: 1, Seed: seed*100 + uint64(i), Inbox: lane, NoFurther: true, Seeds: []*corpus.Input{frame()},
				Keep: func(inputs ...*corpus.Input) error { lane.Keep(inputs...); return nil },
			})
			if err != nil {
				b.Error(err)
			}
		})
	}
	for _, t := range targets {
		<-t.done
		execs += t.execs.Load()
	}
	cancel()
	runs.Wait()
	return execs
}

// BenchmarkMessages measures how long an entry takes from one machine to another that runs
// it, many of them at a time.
func BenchmarkMessages(b *testing.B) {
	b.Run("servers=1", func(b *testing.B) {
		one := openBench(b, Options{Name: "one"})
		messages(b, one, openBench(b, Options{Name: "two", URLs: []string{one.URL()}}))
	})
	b.Run("servers=3", func(b *testing.B) {
		c := newCluster(b, false)
		messages(b, openBench(b, Options{Name: "one", URLs: c.urls()}), openBench(b, Options{Name: "two", URLs: c.urls()}))
	})
}

func openBench(b *testing.B, opts Options) *Node {
	b.Helper()
	opts.Dir = b.TempDir()
	n, err := Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	return n
}

func messages(b *testing.B, from, to *Node) {
	shape := testShape()
	shape.Program = fmt.Sprint("p", b.N)
	send, err := from.Join(b.Context(), shape, nil)
	if err != nil {
		b.Fatal(err)
	}
	receive, err := to.Join(b.Context(), shape, nil)
	if err != nil {
		b.Fatal(err)
	}
	list := inputs(0, b.N)
	b.ResetTimer()
	send.Keep(list...)
	for ran := 0; ran < b.N; {
		got := receive.Take()
		receive.Ran(got)
		if ran += len(got); len(got) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
