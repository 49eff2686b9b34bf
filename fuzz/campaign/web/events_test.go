package web

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// received is an event as it came.
type received struct {
	id, name string
	data     struct {
		ID      string
		Ended   bool
		Targets []targetJSON
		Points  map[string][]pointJSON
	}
}

// reader reads a stream of events.
type reader struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Scanner
	beats  int // comments that were sent to show that the connection is there
}

func follow(t *testing.T, url, last string) *reader {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	r := &reader{t: t, answer: answer, lines: bufio.NewScanner(answer.Body)}
	r.lines.Buffer(nil, 1<<20)
	return r
}

// next returns the next event, nil when the stream ends.
func (r *reader) next() *received {
	r.t.Helper()
	one := &received{}
	for r.lines.Scan() {
		name, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch name {
		case "id":
			one.id = value
		case "event":
			one.name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &one.data); err != nil {
				r.t.Fatal(err)
			}
			return one
		case "":
			if value != "" {
				r.beats++
			}
		}
	}
	return nil
}

func TestEventsGoOnWhereTheyStopped(t *testing.T) {
	y := newToy(t)
	s := y.serve(t, Options{})
	r := follow(t, s.URL, "")
	if kind := r.answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("content type %q", kind)
	}
	first := r.next()
	if first.name != "status" || first.data.ID != first.id || len(first.data.Points["parser"]) != 1 {
		t.Errorf("first event %+v", first)
	}
	y.step(2)
	second := r.next()
	if got := second.data.Points["parser"]; second.id == first.id || len(got) != 1 || got[0][2] != 2 {
		t.Errorf("second event %+v", second)
	}
	r.answer.Body.Close()

	y.step(3)
	y.step(4)
	again := follow(t, s.URL, second.id).next()
	if got := again.data.Points["parser"]; len(got) != 2 || got[0][2] != 3 || got[1][2] != 4 {
		t.Errorf("after coming back: %+v", again)
	}
	for name, id := range map[string]string{"of another process": "abc.99.5", "from the future": strings.Replace(again.id, ".", ".9", 1), "of nobody": "../../x"} {
		if got := follow(t, s.URL, id).next().data.Points["parser"]; len(got) != 4 {
			t.Errorf("an id %s: points %v, want all", name, got)
		}
	}
}

func TestEventsEnd(t *testing.T) {
	y := newToy(t)
	s := y.serve(t, Options{})
	r := follow(t, s.URL, "")
	r.next()
	y.end()
	last := r.next()
	if last == nil || last.name != "end" || !last.data.Ended {
		t.Errorf("last event %+v", last)
	}
	if more := r.next(); more != nil {
		t.Errorf("after the end: %+v", more)
	}
}

func TestEventsShowThatTheConnectionIsThere(t *testing.T) {
	y := newToy(t)
	s := y.serve(t, Options{Heartbeat: time.Millisecond})
	r := follow(t, s.URL, "")
	r.next()
	go func() {
		time.Sleep(50 * time.Millisecond)
		y.step(2)
	}()
	if r.next(); r.beats == 0 {
		t.Error("nothing was sent while nothing happened")
	}
}

func TestFollowersAreBounded(t *testing.T) {
	s := newToy(t).serve(t, Options{MaxStreams: 2})
	one, two := follow(t, s.URL, ""), follow(t, s.URL, "")
	one.next()
	two.next()
	if three := follow(t, s.URL, ""); three.answer.StatusCode != http.StatusServiceUnavailable || three.answer.Header.Get("Retry-After") == "" {
		t.Errorf("a third one: status %d", three.answer.StatusCode)
	}
	two.answer.Body.Close()
	// The place is free once the server has noticed.
	for end := time.Now().Add(time.Minute); ; {
		r := follow(t, s.URL, "")
		if r.answer.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place of one who left stays taken")
		}
	}
}

// Who does not read is dropped, and does not keep others waiting.
func TestSlowFollowersAreDropped(t *testing.T) {
	y := newToy(t)
	y.board.Update(func(s *campaign.Status) {
		s.Targets[0].Problem = strings.Repeat("long ", 200_000) // more than fits into buffers
	})
	s := y.serve(t, Options{MaxStreams: 1, Patience: 20 * time.Millisecond})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := c.Read(first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 2; ; n++ {
		y.step(n)
		r := follow(t, s.URL, "")
		if r.answer.StatusCode == http.StatusOK {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("one who does not read keeps its place")
		}
	}
}

func TestCursor(t *testing.T) {
	for _, c := range []cursor{{"abc", 1, 5}, {"-x", 1 << 63, -1}} {
		if got := parseCursor(c.String()); got != c {
			t.Errorf("%v read back: %v", c, got)
		}
	}
	for _, text := range []string{"", "a", "a.b.c", "a.1", "a.1.2.3", "a.-1.2", "a.1.99999999999999999999"} {
		if got := parseCursor(text); got != (cursor{at: -1}) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
