package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

const secret = "T0PSECRET"

// posted is a server that keeps what is posted to it and answers as the test says.
type posted struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

func newServer(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *posted {
	t.Helper()
	p := &posted{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.bodies = append(p.bodies, string(b))
		n := len(p.bodies)
		p.mu.Unlock()
		if answer != nil {
			answer(n, w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *posted) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.bodies)
}

// said collects warnings.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) warn(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, err.Error())
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// waits notes how long one would have waited.
type waits struct {
	mu   sync.Mutex
	list []time.Duration
}

func (w *waits) wait(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, d)
	return ctx.Err()
}

func someEvent(i int) *Event {
	return &Event{Version: Version, Event: NewFinding, Target: "fw", Campaign: "night", Finding: &Finding{Key: fmt.Sprintf("key-%d", i)}}
}

func TestDelivery(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request)
		want   Counts
		posts  int
		waits  []time.Duration
		said   string
	}{
		"at once": {nil, Counts{Sent: 1}, 1, nil, ""},
		"fails twice": {func(n int, w http.ResponseWriter, _ *http.Request) {
			if n <= 2 {
				w.WriteHeader(http.StatusBadGateway)
			}
		}, Counts{Sent: 1}, 3, []time.Duration{time.Second, 2 * time.Second}, ""},
		"always fails": {
			func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			Counts{Failed: 1},
			4,
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
			"webhook 1 (127.0.0.1) of finding: attempt 4: it answered 500 Internal Server Error",
		},
		"too many, in seconds": {func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}, Counts{Sent: 1}, 2, []time.Duration{7 * time.Second}, ""},
		"too many, for a year": {func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.Header().Set("Retry-After", "31536000")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}, Counts{Sent: 1}, 2, []time.Duration{time.Minute}, ""},
		"refused": {
			func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
			Counts{Failed: 1},
			1, nil, "attempt 1: it answered 403 Forbidden",
		},
		"sent elsewhere": {
			func(_ int, w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/"+secret, http.StatusTemporaryRedirect)
			},
			Counts{Failed: 1},
			1, nil, "it answered 307 Temporary Redirect, which is not followed",
		},
		"hangs up": {func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				panic(http.ErrAbortHandler)
			}
		}, Counts{Sent: 1}, 2, []time.Duration{time.Second}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server, warned, waited := newServer(t, test.answer), &said{}, &waits{}
			n, err := New(Options{Hooks: []Hook{{URL: server.URL + "/" + secret}}, Attempts: 4, Warn: warned.warn, wait: waited.wait})
			if err != nil {
				t.Fatal(err)
			}
			n.Send(someEvent(1))
			err = n.Close(t.Context())
			if got := n.Counts(); got != test.want || (err != nil) != (test.want.Sent == 0) {
				t.Errorf("counts are %+v, error %v, want %+v", got, err, test.want)
			}
			if posts := server.list(); len(posts) != test.posts || slices.ContainsFunc(posts, func(b string) bool { return b != posts[0] }) {
				t.Errorf("posted %q, want %d of the same", posts, test.posts)
			}
			if !slices.Equal(waited.list, test.waits) {
				t.Errorf("waited %v, want %v", waited.list, test.waits)
			}
			if text := warned.text(); !strings.Contains(text, test.said) || (test.said == "") != (text == "") {
				t.Errorf("warned %q, want %q", text, test.said)
			}
			if text := warned.text() + fmt.Sprint(err); strings.Contains(text, secret) {
				t.Errorf("the secret is told: %s", text)
			}
		})
	}
}

// A server that hangs holds up neither the sender nor the other hooks, what does not fit
// into its queue is dropped and counted, and closing ends in time.
func TestHangingServer(t *testing.T) {
	asked := make(chan struct{}, 1)
	hanging := newServer(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	const events = 40
	served := make(chan struct{}, events)
	good := newServer(t, func(int, http.ResponseWriter, *http.Request) { served <- struct{}{} })
	warned := &said{}
	n, err := New(Options{Hooks: []Hook{{URL: hanging.URL + "/" + secret}, {URL: good.URL}}, Queue: events, Timeout: time.Hour, Warn: warned.warn})
	if err != nil {
		t.Fatal(err)
	}
	n.Send(someEvent(0))
	<-asked // one is on its way, so that there is room for all others but one
	for i := range events + 1 {
		n.Send(someEvent(i))
		<-served
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = n.Close(ctx)
	// The good one may be about to read its last answer when it is closed.
	if c := n.Counts(); c.Failed < 1 || c.Failed > 2 || c.Dropped < events+1 || c.Sent+c.Failed+c.Dropped != 2*(events+2) {
		t.Errorf("counts are %+v of %d", c, 2*(events+2))
	}
	if err == nil || !strings.Contains(err.Error(), " could not be delivered and") {
		t.Errorf("error %v", err)
	}
	if text := warned.text() + fmt.Sprint(err); strings.Contains(text, secret) || !strings.Contains(text, "webhook 1 (127.0.0.1)") {
		t.Errorf("warned %q", text)
	}
	n.Send(someEvent(0)) // after it was closed
	if err := n.Close(ctx); err == nil {
		t.Error("what was dropped after it was closed is not counted")
	}
}

func TestAttemptsTimeOut(t *testing.T) {
	server := newServer(t, func(n int, _ http.ResponseWriter, r *http.Request) {
		if n == 1 {
			<-r.Context().Done()
		}
	})
	n, err := New(Options{Hooks: []Hook{{URL: server.URL}}, Timeout: 200 * time.Millisecond, wait: (&waits{}).wait, Attempts: 100})
	if err != nil {
		t.Fatal(err)
	}
	n.Send(someEvent(1))
	if err := n.Close(t.Context()); err != nil || len(server.list()) < 2 {
		t.Errorf("%d attempts, error %v", len(server.list()), err)
	}
}

func TestHooksAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		hook Hook
		want string // "" where it is taken
	}{
		"https":               {Hook{URL: "https://hooks.example.org/" + secret}, ""},
		"http on loopback":    {Hook{URL: "http://127.0.0.1:9/x"}, ""},
		"http on localhost":   {Hook{URL: "http://localhost:9/x"}, ""},
		"http":                {Hook{URL: "http://hooks.example.org/" + secret}, "webhook 1 (hooks.example.org): its URL is http, which others can read on the way: use https, or allow it"},
		"http, allowed":       {Hook{URL: "http://hooks.example.org/x", HTTP: true}, ""},
		"http to a lookalike": {Hook{URL: "http://localhost.example.org/" + secret}, "its URL is http"},
		"other scheme":        {Hook{URL: "ftp://hooks.example.org/" + secret}, "webhook 1: its URL is none of https or http"},
		"no URL":              {Hook{URL: secret}, "none of https or http"},
		"broken URL":          {Hook{URL: "https://%zz" + secret}, "none of https or http"},
		"other format":        {Hook{URL: "https://a", Format: "xml"}, `webhook 1: format "xml": choose generic or slack`},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := New(Options{Hooks: []Hook{test.hook}})
			if err == nil {
				_ = n.Close(t.Context())
			}
			if (err == nil) != (test.want == "") || (err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret))) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("TEST_HOOK", " https://a/b\n")
	t.Setenv("TEST_NO_HOOK", "")
	for source, want := range map[string]string{
		"https://a/b":                          "https://a/b",
		"env:TEST_HOOK":                        "https://a/b",
		"env:TEST_NO_HOOK":                     "",
		"file:" + write("good", "https://a\n"): "https://a",
		"file:" + write("empty", "\n"):         "",
		"file:" + write("two", "a\nb\n"):       "",
		"file:" + filepath.Join(dir, "gone"):   "",
	} {
		if got, err := Source(source).URL(); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, error %v, want %q", source, got, err, want)
		}
	}
}

// Follow tells each thing once, whatever else changes.
func TestFollow(t *testing.T) {
	server := newServer(t, nil)
	n, err := New(Options{Hooks: []Hook{{URL: server.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	var board campaign.Board
	target := func(change func(*campaign.TargetStatus)) {
		board.Update(func(s *campaign.Status) { change(&s.Targets[0]) })
	}
	board.Update(func(s *campaign.Status) {
		s.Title, s.Mode, s.Started = "night", "nightly", time.Now()
		s.Targets = []campaign.TargetStatus{{Name: "fw", Program: "firewall", Stats: fuzz.Stats{Execs: 10, Edges: 2, Total: 3}}}
		s.Targets[0].Findings = []campaign.FindingStatus{
			{Key: "old"}, {Key: "known", New: true, Known: true}, {Key: "second", New: true}, {Key: "first", New: true, Kind: "verdict", Title: "wrong", Command: "replay it"},
		}
	})
	followed := make(chan struct{})
	go func() { n.Follow(t.Context(), &board); close(followed) }()
	for len(server.list()) < 2 {
		target(func(t *campaign.TargetStatus) { t.Rate++ }) // nobody wants to hear of it
	}
	until := func(events int) {
		for len(server.list()) < events {
			board.Update(func(*campaign.Status) {})
		}
	}
	target(func(t *campaign.TargetStatus) { t.State, t.Problem = campaign.Failed, "gone" })
	until(3)
	target(func(t *campaign.TargetStatus) { t.State = campaign.Waiting })
	target(func(t *campaign.TargetStatus) { t.State = campaign.Failed }) // still
	target(func(t *campaign.TargetStatus) { t.Problem = "broken" })
	until(4)
	board.Update(func(s *campaign.Status) { s.Ended = true })
	<-followed
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	var got []string
	for _, body := range server.list() {
		var e Event
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		text := fmt.Sprint(e.Version, " ", e.Campaign, " ", e.Mode, " ", e.Target, " ", e.Event, " ", e.Problem, " ", e.Totals.Failed, " ", e.Totals.New, "/", e.Totals.Findings, " ", e.Totals.Edges, "/", e.Totals.Total)
		if e.Finding != nil {
			text += " " + e.Finding.Key + " " + e.Finding.Kind + " " + e.Finding.Title + " " + e.Finding.Command
		}
		got = append(got, text)
	}
	want := []string{
		"1 night nightly fw finding  0 2/4 2/3 first verdict wrong replay it",
		"1 night nightly fw finding  0 2/4 2/3 second   ",
		"1 night nightly fw target_failed gone 1 2/4 2/3",
		"1 night nightly fw target_failed broken 1 2/4 2/3",
		"1 night nightly  campaign_ended  1 2/4 2/3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	n, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Follow(ctx, &campaign.Board{})
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSlackText(t *testing.T) {
	hostile := "<!channel> & `code`\x1b[2J\nnext\u202e"
	for name, test := range map[string]struct {
		event *Event
		want  string
	}{
		"finding": {
			&Event{Event: NewFinding, Campaign: "night", Mode: "pr", Target: "fw", Finding: &Finding{Key: "k-1", Kind: "verdict", Title: hostile, Command: "bpffuzz replay a.o k"}},
			"*New finding* in fw of night (pr)\nverdict: &lt;!channel&gt; &amp; 'code'\uFFFD[2J next\uFFFD\n`k-1`\n```bpffuzz replay a.o k```",
		},
		"failed": {&Event{Event: TargetFailed, Campaign: "night", Target: "fw", Problem: hostile}, "*Target failed*: fw of night\n&lt;!channel&gt; &amp; 'code'\uFFFD[2J next\uFFFD"},
		"ended": {
			&Event{Event: CampaignEnded, Campaign: "night", Totals: Totals{Targets: 3, Failed: 1, Execs: 1000, Seconds: 61.5, Edges: 5, Total: 9, Corpus: 4, New: 2, Findings: 6}},
			"*Ended*: night after 1m1s, 1000 executions, edges 5/9, corpus 4\nnew findings: 2, findings: 6, targets: 3, failed: 1",
		},
	} {
		b, err := Slack.body(test.event)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(b, &got); err != nil || len(got) != 1 || got["text"] != test.want {
			t.Errorf("%s: %q, error %v\nwant %q", name, got, err, test.want)
		}
	}
}

func TestTextsAreCut(t *testing.T) {
	if got := cut(strings.Repeat("ü", maxText)); len(got) > maxText+len("…") || !strings.HasSuffix(got, "ü…") {
		t.Errorf("%d bytes, the end is %q", len(got), got[len(got)-8:])
	}
	if got := cut("short"); got != "short" {
		t.Errorf("cut to %q", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-3": 0, "99999999999999": 0, "soon": 0,
		"Thu, 01 Jan 2026 00:00:05 GMT": 5 * time.Second, "Wed, 31 Dec 2025 00:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if err := wait(ctx, time.Hour); !errors.Is(err, stop) {
		t.Errorf("a wait that was called off: %v", err)
	}
	if err := wait(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
