package fuzztest

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"
)

// message is what a process that works tells the one that coordinates it. Of its
// fields one is set, besides At.
type message struct {
	// At is the time since the engine started.
	At time.Duration `json:",omitempty"`
	// Note is for the user, in one line.
	Note string `json:",omitempty"`
	// Baseline says how many seeds were run.
	Baseline *baseline `json:",omitempty"`
	// Progress is the state of the run.
	Progress *progress `json:",omitempty"`
	// Ending says that the time is up: nothing new is begun.
	Ending bool `json:",omitempty"`
	// Investigating says that a failure is looked into, which is not to be interrupted.
	Investigating bool `json:",omitempty"`
	// Failure is a failing input.
	Failure *failing `json:",omitempty"`
	// Error ends the run: it is ours or the user's, not the program's.
	Error string `json:",omitempty"`
	// Done is the last message.
	Done bool `json:",omitempty"`
}

type baseline struct{ Done, Total, Workers int }

type progress struct {
	Execs             uint64
	Interesting, All  int // corpus entries of this run, and all
	Edges, Observable int
	Unconfirmed       uint64
}

// failing is an input that fails and what there is to say about it.
type failing struct {
	// Text is what the Func reported, or an oracle's reason; Details shows the input.
	Text, Details string
	// Path is the file of the input; Seed names the one of f.Add or testdata/fuzz that
	// it is instead.
	Path string `json:",omitempty"`
	Seed string `json:",omitempty"`
}

// sender writes messages, one a line. It is safe for concurrent use.
type sender struct {
	started time.Time

	mu  sync.Mutex
	enc *json.Encoder
}

func newSender(w io.Writer) *sender { return &sender{started: time.Now(), enc: json.NewEncoder(w)} }

// send writes a message. That nobody listens any more is noticed elsewhere.
func (s *sender) send(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.At = time.Since(s.started)
	_ = s.enc.Encode(m)
}

// receive calls handle with each message until there is none.
func receive(r io.Reader, handle func(*message)) error {
	dec := json.NewDecoder(r)
	for {
		var m message
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		handle(&m)
	}
}
