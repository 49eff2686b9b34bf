package exchange

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// patience is how long a connection or an answer may take to come.
	patience = 10 * time.Second
	// reconnectWait is the time between two attempts at a server that is gone.
	reconnectWait = 250 * time.Millisecond
	// pingInterval is how often a silent server is asked whether it is still there.
	pingInterval = 5 * time.Second
	// maxPayload bounds a message in bytes: an input with its packets.
	maxPayload = 8 << 20
)

// serve starts the server of this process.
func serve(o *Options) (*server.Server, error) {
	host, port, err := o.listen()
	if err != nil {
		return nil, err
	}
	config, err := o.tls()
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: "bpffuzz", Host: host, Port: port, DontListen: false, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(o.Dir, "server"), MaxPayload: maxPayload,
		Authorization: o.Token, NoSystemAccount: false,
	}
	if config != nil && o.Cert != "" {
		config.ClientCAs = config.RootCAs
		opts.TLSConfig, opts.TLS, opts.TLSTimeout = config, true, patience.Seconds()
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("starting a server for the exchange: %w", err)
	}
	go s.Start()
	if !s.ReadyForConnections(patience) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.Join(fmt.Errorf("starting a server for the exchange at %s: it is not ready in %s; is the port in use, and %s writable?", o.Listen, patience, o.Dir))
	}
	return s, nil
}
