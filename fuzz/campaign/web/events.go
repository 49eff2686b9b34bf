package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// cursor is a place in the stream of events: the process, its Status, and the youngest
// point in it. Who was there gets what came later, points included, and nothing twice. The
// zero value is before everything.
type cursor struct {
	run     string
	version uint64
	at      time.Duration
}

func cursorOf(s *campaign.Status) cursor {
	c := cursor{run: strconv.FormatInt(s.Started.UnixNano(), 36), version: s.Version, at: -1}
	for i := range s.Targets {
		if points := s.Targets[i].Points; len(points) > 0 {
			c.at = max(c.at, points[len(points)-1].At)
		}
	}
	return c
}

func (c cursor) String() string { return fmt.Sprintf("%s.%d.%d", c.run, c.version, int64(c.at)) }

// parseCursor reads what String wrote; anything else is the zero value.
func parseCursor(text string) cursor {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return cursor{at: -1}
	}
	version, err := strconv.ParseUint(parts[1], 10, 64)
	at, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || err2 != nil {
		return cursor{at: -1}
	}
	return cursor{parts[0], version, time.Duration(at)}
}

// goOn is where a stream begins whose reader was at c: at the beginning, if that was in
// another process.
func (c cursor) goOn(s *campaign.Status) cursor {
	if now := cursorOf(s); c.run != now.run || c.version > now.version {
		return cursor{at: -1}
	}
	return c
}

// eventJSON is what an event of the stream brings.
type eventJSON struct {
	*statusJSON
	// Points are those that are younger than the event before, by target.
	Points map[string][]pointJSON `json:"points"`
}

func newEvent(s *campaign.Status, after cursor) eventJSON {
	e := eventJSON{newStatusJSON(s), map[string][]pointJSON{}}
	for i := range s.Targets {
		if list := pointsAfter(&s.Targets[i], after.at); len(list) > 0 {
			e.Points[s.Targets[i].Name] = list
		}
	}
	return e
}

// events is the stream: an event for each Status, but not more than one in a pace, until
// the campaign ends or the reader leaves.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		writeError(w, http.StatusServiceUnavailable, fmt.Sprintf("%d follow the events already, which is the limit; ask /api/status, or again later", cap(s.streams)))
		return
	}
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("after")
	}
	out := &stream{w: w, control: http.NewResponseController(w), patience: s.opts.Patience}
	if err := out.begin(); err != nil {
		return
	}
	at := parseCursor(last).goOn(s.opts.Board.Status())
	// Errors are all of readers who left or were too slow: they come back by themselves.
	_ = s.follow(r.Context(), out, at)
}

// follow sends what comes after a place.
func (s *site) follow(ctx context.Context, out *stream, at cursor) error {
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		status, err := s.next(ctx, out, at.version)
		if err != nil {
			return err
		}
		if err := out.send(status, at); err != nil || status.Ended {
			return err
		}
		at = cursorOf(status)
		pace.Reset(s.opts.Pace)
	}
}

// next waits for a Status, and shows meanwhile that the connection is there.
func (s *site) next(ctx context.Context, out *stream, version uint64) (*campaign.Status, error) {
	for {
		waiting, cancel := context.WithTimeout(ctx, s.opts.Heartbeat)
		status, err := s.opts.Board.Wait(waiting, version)
		cancel()
		if err == nil || ctx.Err() != nil {
			return status, err
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		if err := out.write([]byte(": still here\n\n")); err != nil {
			return nil, err
		}
	}
}

// stream writes events to one reader.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	buffer   bytes.Buffer
}

// begin says what is coming. The server's limit for reading requests is for those that
// end.
func (s *stream) begin() error {
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	s.w.Header().Set("Content-Type", "text/event-stream")
	return s.write([]byte("retry: 2000\n\n"))
}

// send writes a Status. The last one is named end: readers need not come back.
func (s *stream) send(status *campaign.Status, after cursor) error {
	b, err := json.Marshal(newEvent(status, after))
	if err != nil {
		return err
	}
	name := "status"
	if status.Ended {
		name = "end"
	}
	s.buffer.Reset()
	fmt.Fprintf(&s.buffer, "id: %s\nevent: %s\ndata: %s\n\n", cursorOf(status), name, b)
	return s.write(s.buffer.Bytes())
}

// write sends what it gets now, or fails: a reader who does not take it is dropped.
func (s *stream) write(b []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}
