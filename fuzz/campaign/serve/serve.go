// Package serve answers HTTP requests about a campaign: on loopback for everybody on this
// machine, elsewhere for those who know a token.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// MinToken is how long a token is at least, in bytes: too long to be guessed over a network.
const MinToken = 16

// Options say what is served where. Addr and Handler are needed.
type Options struct {
	// Addr is HOST:PORT; port 0 takes a free one. Without a host it is loopback.
	Addr string
	// Handler answers, and asks for the token: see Guard.
	Handler http.Handler
	// Token is what Handler asks for. Where it is "", Addr has to be loopback.
	Token string
	// Flag names the option that Addr comes from, for errors; "" means the address alone.
	Flag string
}

// Server answers until it is closed. It is safe for concurrent use.
type Server struct {
	server http.Server
	addr   net.Addr
	done   chan struct{}
	err    error // once done is closed
}

// Start listens and answers in the background. An address that can be reached from other
// machines is refused without a token.
func Start(opts Options) (*Server, error) {
	what := strings.TrimSpace(opts.Flag + " " + opts.Addr)
	if opts.Token != "" && len(opts.Token) < MinToken {
		return nil, fmt.Errorf("%s: a token of %d bytes can be guessed; make one of %d or more, such as: openssl rand -hex 16", what, len(opts.Token), MinToken)
	}
	addr, err := Loopback(opts.Addr)
	if err != nil && (addr == "" || opts.Token == "") {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another port, or 0 for a free one", what, err)
	}
	s := &Server{addr: listener.Addr(), done: make(chan struct{}), server: http.Server{
		Handler: opts.Handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// ErrElsewhere says that an address can be reached from other machines.
var ErrElsewhere = errors.New("other machines can reach this address: name one of this machine only, such as 127.0.0.1:8080, or a token that they have to know")

// Loopback completes an address: without a host it is 127.0.0.1. The error is ErrElsewhere
// for one that is not loopback; then the address is returned as well.
func Loopback(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%w; write it as HOST:PORT, such as 127.0.0.1:8080", err)
	}
	if host == "" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	if !isLoopback(host) {
		return addr, ErrElsewhere
	}
	return addr, nil
}

// isLoopback takes names for what they are everywhere, and asks nobody.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Addr returns the address that is listened on, as HOST:PORT.
func (s *Server) Addr() string { return s.addr.String() }

// Close ends the server: it answers what it was asked until ctx ends, then it hangs up.
func (s *Server) Close(ctx context.Context) error {
	if err := s.server.Shutdown(ctx); err != nil {
		_ = s.server.Close()
	}
	<-s.done
	return s.err
}
