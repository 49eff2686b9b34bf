package exchange

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// long is how long a test waits for what has to come.
const long = time.Minute

func testShape() *corpus.Shape {
	return &corpus.Shape{Program: "fw", Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 200}, MaxSteps: 4}
}

// input is the n-th of many.
func input(n int) *corpus.Input {
	packet := make([]byte, 20)
	binary.BigEndian.PutUint32(packet[14:], uint32(n))
	return &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}
}

func inputs(from, to int) (list []*corpus.Input) {
	for n := from; n < to; n++ {
		list = append(list, input(n))
	}
	return list
}

func number(in *corpus.Input) int { return int(binary.BigEndian.Uint32(in.Steps[0].Packet[14:])) }

// open opens a node whose warnings are logged.
func open(t testing.TB, name string, opts Options) *Node {
	t.Helper()
	opts.Name = name
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	if opts.Warn == nil {
		opts.Warn = func(err error) { t.Logf("%s: %v", name, err) }
	}
	n, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func join(t testing.TB, n *Node, own ...*corpus.Input) *Lane {
	t.Helper()
	l, err := n.Join(t.Context(), testShape(), own)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// until waits for something to be true.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !done(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %s", what, long)
		}
		time.Sleep(time.Millisecond)
	}
}

// engine stands for a run: it takes what comes, as a worker does, and counts how often each
// input was run.
type engine struct {
	lane *Lane
	ran  map[int]int
}

// run takes what is there.
func (e *engine) run() {
	list := e.lane.Take()
	for _, in := range list {
		e.ran[number(in)]++
	}
	e.lane.Ran(list)
}

// untilRan runs until each input of [0, n) that is not own was run.
func (e *engine) untilRan(t testing.TB, n int, own func(int) bool) {
	t.Helper()
	until(t, fmt.Sprintf("running %d inputs of others", n), func() bool {
		e.run()
		for i := range n {
			if !own(i) && e.ran[i] == 0 {
				return false
			}
		}
		return true
	})
	for i, times := range e.ran {
		if times > 1 || own(i) {
			t.Errorf("input %d was run %d times, own: %t", i, times, own(i))
		}
	}
}

func none(int) bool { return false }

// TestShared: two machines come to have what each of them had, nothing comes back to
// where it was found, and a machine that joins later gets all of it.
func TestShared(t *testing.T) {
	one := open(t, "one", Options{})
	a := join(t, one, inputs(0, 10)...)
	b := join(t, open(t, "two", Options{URLs: []string{one.URL()}}), inputs(5, 15)...)
	a.Keep(inputs(20, 25)...)
	b.Keep(inputs(25, 30)...)
	(&engine{b, map[int]int{}}).untilRan(t, 30, func(n int) bool { return n >= 5 && n < 20 || n >= 25 })
	(&engine{a, map[int]int{}}).untilRan(t, 30, func(n int) bool { return n < 10 || n >= 15 && n < 25 })
	late := join(t, open(t, "three", Options{URLs: []string{one.URL()}}))
	(&engine{late, map[int]int{}}).untilRan(t, 30, func(n int) bool { return n >= 15 && n < 20 })
	until(t, "everything is announced", func() bool { return a.Settled() && b.Settled() && late.Settled() })
	if ca, cb := a.Counts(), b.Counts(); ca.Announced+cb.Announced != 25 || ca.Refused+cb.Refused > 5 {
		t.Errorf("announced and refused were %+v and %+v", ca, cb)
	}
}

// TestRunOnce: a node that ends and comes back runs what is new, and what it took and did
// not run, but nothing twice.
func TestRunOnce(t *testing.T) {
	one := open(t, "one", Options{})
	a := join(t, one, inputs(0, 100)...)
	dir := t.TempDir()
	b := open(t, "two", Options{URLs: []string{one.URL()}, Dir: dir})
	e := &engine{join(t, b), map[int]int{}}
	until(t, "forty inputs ran", func() bool { e.run(); return len(e.ran) >= 40 })
	until(t, "some are there to be run", func() bool { return len(e.lane.Take()) > 0 }) // and are not
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	a.Keep(inputs(100, 120)...)
	e.lane = join(t, open(t, "two", Options{URLs: []string{one.URL()}, Dir: dir}))
	e.untilRan(t, 120, none)
}

// TestFindingsOfAll: the first finding of a key stands for all.
func TestFindingsOfAll(t *testing.T) {
	one := open(t, "one", Options{})
	a, b := join(t, one), join(t, open(t, "two", Options{URLs: []string{one.URL()}}))
	a.Finding(Finding{Key: "verdict-fw-01234567", Oracle: "verdict", Title: "first", Input: corpus.Encode(input(1))})
	until(t, "the finding is there", func() bool { return len(b.Findings()) == 1 })
	b.Finding(Finding{Key: "verdict-fw-01234567", Oracle: "verdict", Title: "second"})
	b.Finding(Finding{Key: "errno-fw-89abcdef", Oracle: "errno", Title: "other"})
	until(t, "the other one is there", func() bool { return len(a.Findings()) == 2 && b.Settled() })
	if got := a.Findings()[1]; got.Title != "first" || got.Node != "one" || !corpus.Decode(got.Input).Equal(input(1)) {
		t.Errorf("the finding is %+v", got)
	}
	until(t, "peers are there", func() bool {
		a.Report(Stats{Execs: 7})
		b.Report(Stats{Execs: 8, Findings: map[string]int{"errno-fw-89abcdef": 3}})
		return len(a.Peers()) == 1 && len(b.Peers()) == 1
	})
	if p := a.Peers()[0]; p.Node != "two" || p.Execs != 8 || p.Findings["errno-fw-89abcdef"] != 3 {
		t.Errorf("the other machine is %+v", p)
	}
}

// TestCorruptMessages: what is not what it says is refused and counted, and what follows
// comes through.
func TestCorruptMessages(t *testing.T) {
	var mu sync.Mutex
	var said []string
	one := open(t, "one", Options{})
	a := join(t, one)
	two := open(t, "two", Options{URLs: []string{one.URL()}, Warn: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, err.Error())
	}})
	good := corpus.Encode(input(1))
	bad := slices.Clone(good)
	bad[len(bad)-1] ^= 1
	long := corpus.Encode(&corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 300)}}}) // for the shape
	subject := corpusSubject + Topic(testShape()) + "."
	for _, m := range []message{
		{subject + hashOf(good).String(), bad},
		{subject + "nonsense", good},
		{subject + hashOf(nil).String(), nil},
		{subject + hashOf([]byte("x")).String(), []byte("x")},
		{subject + hashOf(long).String(), long},
		{findingSubject + Topic(testShape()) + ".key", []byte("{")},
		{nodeSubject + Topic(testShape()) + ".name", []byte("[]")},
	} {
		if err := one.conn.Publish(m.subject, m.data); err != nil {
			t.Fatal(err)
		}
	}
	a.Keep(inputs(2, 4)...)
	l := join(t, two)
	e := &engine{l, map[int]int{}}
	e.untilRan(t, 4, func(n int) bool { return n < 2 })
	until(t, "all are counted", func() bool { c := l.Counts(); return c.Corrupt+c.Unfit >= 7 })
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "refusing message") }) {
		t.Errorf("said was %q", said)
	}
}

func TestOptionsRefused(t *testing.T) {
	tests := []struct {
		opts Options
		want string // part of the error, "" for none
	}{
		{Options{Dir: "d"}, ""},
		{Options{}, "needs a directory"},
		{Options{Dir: "d", URLs: []string{"nats://127.0.0.1:4222", "nats://localhost:4223", "nats://[::1]:4224"}}, ""},
		{Options{Dir: "d", URLs: []string{"http://127.0.0.1:4222"}}, "write nats://HOST:PORT"},
		{Options{Dir: "d", URLs: []string{"nats://10.0.0.1:4222"}}, "use tls://"},
		{Options{Dir: "d", URLs: []string{"tls://10.0.0.1:4222"}}, "takes credentials"},
		{Options{Dir: "d", URLs: []string{"tls://10.0.0.1:4222"}, Token: "t"}, ""},
		{Options{Dir: "d", URLs: []string{"tls://user:pw@example.org:4222"}}, ""},
		{Options{Dir: "d", URLs: []string{"nats://user:pw@example.org:4222"}}, "nats://user:xxxxx@example.org:4222 is not on loopback"},
		{Options{Dir: "d", URLs: []string{"nats://10.0.0.1:4222"}, CA: "ca.pem", Creds: "user.creds"}, ""},
		{Options{Dir: "d", Listen: "127.0.0.1:0"}, ""},
		{Options{Dir: "d", Listen: ":4222"}, "takes TLS and a token"},
		{Options{Dir: "d", Listen: "0.0.0.0:4222", Token: "t"}, "takes TLS and a token"},
		{Options{Dir: "d", Listen: "0.0.0.0:4222", Token: "t", Cert: "c.pem", Key: "k.pem"}, ""},
		{Options{Dir: "d", Listen: "nowhere"}, "write HOST:PORT"},
		{Options{Dir: "d", Cert: "c.pem"}, "go together"},
		{Options{Dir: "d", Listen: "127.0.0.1:0", URLs: []string{"nats://127.0.0.1:4222"}}, "choose one of them"},
		{Options{Dir: "d", Replicas: 6}, "choose 1 to 5"},
	}
	for _, test := range tests {
		err := test.opts.Check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, want %q", test.opts, err, test.want)
		}
	}
}

func TestTrack(t *testing.T) {
	tr := track{last: 5}
	tr.passed(7)
	tr.came(9)
	tr.came(10)
	tr.passed(12)
	tr.came(14)
	for _, step := range []struct{ ran, place uint64 }{{0, 8}, {10, 8}, {9, 13}, {9, 13}, {14, 14}} {
		tr.ran(step.ran)
		if got := tr.place(); got != step.place {
			t.Errorf("after %d the place is %d, want %d", step.ran, got, step.place)
		}
	}
}
