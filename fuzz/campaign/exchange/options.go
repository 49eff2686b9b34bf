// Package exchange lets machines that fuzz the same programs share what they find: corpus
// entries, findings and how they stand, over NATS JetStream. A Node is a machine's
// connection, to a server of its own process or to others; a Lane is what it shares of one
// target. What is on the wire is foreign: it is checked before it is used.
package exchange

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Options say how a node takes part. The zero value of all but Dir works: then the process
// has a server of its own, on a free port of loopback.
type Options struct {
	// Name tells this machine from the others; "" means its host name. Two nodes of one
	// name are taken for one.
	Name string
	// URLs are servers of a cluster, nats://HOST:PORT or tls://HOST:PORT; without any the
	// process runs one.
	URLs []string
	// Listen is HOST:PORT where the server of this process listens; "" means a free port of
	// 127.0.0.1. Beyond loopback it takes Cert, Key and Token.
	Listen string
	// Dir is where the node remembers what it has run, and its server stores messages.
	// One process at a time may use it.
	Dir string
	// Token, or the file Creds (a user's JWT and key as nsc writes them), say who this is.
	Token, Creds string
	// CA is a file of certificates that servers are trusted by, Cert and Key are those of
	// this machine. The zero value trusts what the system does, and shows none.
	CA, Cert, Key string
	// Replicas is how many servers of a cluster keep each message, 1 to 5; 0 means three
	// where there are three servers, else one.
	Replicas int
	// MaxBytes bounds what servers keep of a corpus; 0 means 1 GiB. What does not fit any
	// more is not shared.
	MaxBytes int64
	// Warn is called for what does not end an exchange, from any goroutine; nil drops it.
	Warn func(error)
}

// Check returns what of the options is refused, before anything is opened.
func (o *Options) Check() error {
	if o.Dir == "" {
		return errors.New("an exchange needs a directory to remember what was run")
	}
	if (o.Cert == "") != (o.Key == "") {
		return errors.New("a certificate and its key go together: give both --nats-cert and --nats-key")
	}
	if len(o.URLs) > 0 && o.Listen != "" {
		return errors.New("--nats names servers that are there, --nats-listen has this process be one: choose one of them")
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		return fmt.Errorf("%d replicas of each message: choose 1 to 5", o.Replicas)
	}
	for _, text := range o.URLs {
		if err := o.checkURL(text); err != nil {
			return err
		}
	}
	return o.checkListen()
}

func (o *Options) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls"}, u.Scheme) {
		return fmt.Errorf("server %q: write nats://HOST:PORT, or tls://HOST:PORT", text)
	}
	if isLoopback(u.Hostname()) {
		return nil
	}
	if u.Scheme != "tls" && o.CA == "" && o.Cert == "" {
		return fmt.Errorf("server %s is not on loopback, and what is sent there could be read and changed on the way: use tls://, with --nats-ca where the system does not know its certificate", u.Redacted())
	}
	if o.Token == "" && o.Creds == "" && o.Cert == "" && u.User == nil {
		return fmt.Errorf("server %s is not on loopback and takes credentials: give --nats-creds, --nats-token-file, or --nats-cert and --nats-key", u.Redacted())
	}
	return nil
}

func (o *Options) checkListen() error {
	host, _, err := o.listen()
	if err != nil || isLoopback(host) {
		return err
	}
	if o.Cert == "" || o.Token == "" {
		return fmt.Errorf("listening at %s, beyond loopback, takes TLS and a token: give --nats-cert, --nats-key and --nats-token-file", o.Listen)
	}
	return nil
}

// listen returns where the server of this process listens; port -1 means a free one.
func (o *Options) listen() (host string, port int, err error) {
	if o.Listen == "" {
		return "127.0.0.1", -1, nil
	}
	host, text, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return "", 0, fmt.Errorf("listening at %q: write HOST:PORT", o.Listen)
	}
	if port, err = net.LookupPort("tcp", text); err != nil {
		return "", 0, fmt.Errorf("listening at %q: write HOST:PORT: %w", o.Listen, err)
	}
	if port == 0 {
		port = -1
	}
	return cmp.Or(host, "0.0.0.0"), port, nil
}

// isLoopback reports whether a host is this machine by name or address. Another name is
// taken for another machine, wherever it leads.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// tls returns how connections are encrypted, nil for not at all.
func (o *Options) tls() (*tls.Config, error) {
	if o.CA == "" && o.Cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("reading certificates that servers are trusted by: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading certificates that servers are trusted by: there are none in PEM in %s", o.CA)
		}
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate of this machine: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// dial returns what a connection needs besides its address and TLS.
func (o *Options) dial() []nats.Option {
	opts := []nats.Option{
		nats.Name("bpffuzz " + o.Name), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.RetryOnFailedConnect(false),
		nats.Timeout(patience), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
	}
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	if o.Creds != "" {
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	return opts
}

func (o *Options) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Errorf(format, args...))
	}
}
