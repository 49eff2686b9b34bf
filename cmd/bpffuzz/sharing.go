package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign/exchange"
	"github.com/bpffuzz/bpffuzz/triage"
)

// exchangeFlags say with whom a run or a campaign shares what it finds.
type exchangeFlags struct {
	urls                 []string
	listen, name         string
	tokenFile, creds     string
	ca, cert, key, token string
	replicas             int
}

func (f *exchangeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.urls, "nats", nil, "share corpus entries, findings and statistics with the machines at this NATS `server`, nats://HOST:PORT or tls://HOST:PORT (may be repeated)")
	flags.StringVar(&f.listen, "nats-listen", "", "be such a server for others, at this `address`, such as 127.0.0.1:4222; port 0 takes a free one")
	flags.StringVar(&f.name, "nats-name", "", "what this machine is called there (default its host `name`)")
	flags.StringVar(&f.tokenFile, "nats-token-file", "", "`file` with the token that those who share have to know")
	flags.StringVar(&f.creds, "nats-creds", "", "credentials `file` of a NATS user, as nsc writes it")
	flags.StringVar(&f.ca, "nats-ca", "", "`file` with certificates that servers are trusted by (default the system's)")
	flags.StringVar(&f.cert, "nats-cert", "", "`file` with the certificate of this machine")
	flags.StringVar(&f.key, "nats-key", "", "`file` with the key of that certificate")
	flags.IntVar(&f.replicas, "nats-replicas", 0, "how `many` servers of a cluster keep each message (default 3 where there are three, else 1)")
	for _, name := range []string{"nats-token-file", "nats-creds", "nats-ca", "nats-cert", "nats-key"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

func (f *exchangeFlags) wanted() bool { return len(f.urls) > 0 || f.listen != "" }

func (f *exchangeFlags) options(u *ui, dir string) exchange.Options {
	return exchange.Options{
		Name: f.name, URLs: f.urls, Listen: f.listen, Dir: filepath.Join(dir, "exchange"), Token: f.token, Creds: f.creds,
		CA: f.ca, Cert: f.cert, Key: f.key, Replicas: f.replicas, Warn: func(err error) { u.warn("%v", err) },
	}
}

// check refuses what cannot be done before anything is loaded, and reads the token.
func (f *exchangeFlags) check() (err error) {
	if !f.wanted() {
		if f.name+f.tokenFile+f.creds+f.ca+f.cert+f.key != "" || f.replicas != 0 {
			return usageError("flags that begin with --nats- belong to --nats URL or --nats-listen ADDRESS: give one of these")
		}
		return nil
	}
	if f.token, err = readToken(f.tokenFile); err != nil {
		return err
	}
	opts := f.options(nil, ".")
	return opts.Check()
}

// sharing is this machine's part in an exchange; nil shares nothing.
type sharing struct {
	u    *ui
	node *exchange.Node
}

// open takes part in an exchange, if that is asked for, and keeps what it remembers of it
// in dir.
func (f *exchangeFlags) open(ctx context.Context, u *ui, dir string) (*sharing, error) {
	if !f.wanted() {
		return nil, nil
	}
	node, err := exchange.Open(ctx, f.options(u, dir))
	if err != nil {
		return nil, err
	}
	u.say("sharing as %s at %s", node.Name(), node.URL())
	return &sharing{u, node}, nil
}

// Close leaves the exchange.
func (s *sharing) Close() error {
	if s == nil {
		return nil
	}
	return s.node.Close()
}

// join has a run share what it finds, and run what others found.
func (s *sharing) join(ctx context.Context, target *subject, out *output, opts *fuzz.Options, publish *publisher) (*shared, error) {
	if s == nil {
		return nil, nil
	}
	lane, err := s.node.Join(ctx, target.target.Shape(), out.own)
	if err != nil {
		return nil, err
	}
	keep, report, progress := opts.Keep, opts.Report, opts.Progress
	opts.Inbox = lane
	opts.Keep = func(inputs ...*corpus.Input) error {
		if err := keep(inputs...); err != nil {
			return err
		}
		lane.Keep(inputs...)
		return nil
	}
	opts.Report = func(f *triage.Finding) error {
		lane.Finding(exchange.Finding{Key: f.Key, Oracle: f.Oracle, Title: f.Title, Program: f.Program, Type: f.Type, Input: corpus.Encode(f.Input)})
		return report(f)
	}
	sh := &shared{s.u, lane, out, publish}
	opts.Progress = func(now fuzz.Stats) {
		progress(now)
		sh.tick(&now)
	}
	return sh, nil
}

// shared is a run whose finds are shared; nil is one whose are not.
type shared struct {
	u       *ui
	lane    *exchange.Lane
	out     *output
	publish *publisher
}

// tick tells the others how the run stands, and those who watch how the others do.
func (s *shared) tick(now *fuzz.Stats) {
	met := map[string]int{}
	for _, f := range s.out.list() {
		met[f.Key] = f.Count
	}
	s.lane.Report(exchange.Stats{
		Execs: now.Execs, Rate: now.Rate(), Edges: now.Edges, Total: now.Total, Corpus: now.Corpus, Elapsed: now.Elapsed, Findings: met,
	})
	peers := s.lane.Peers()
	s.publish.board.Update(func(b *campaign.Status) { b.Peers = withPeers(b.Peers, peers) })
}

// withPeers returns a list of machines with what is new of some of them, by name.
func withPeers(list []campaign.Peer, news []exchange.Stats) []campaign.Peer {
	for _, p := range news {
		list = slices.DeleteFunc(list, func(old campaign.Peer) bool { return old.Name == p.Node })
		list = append(list, campaign.Peer{Name: p.Node, Seen: p.At, Execs: p.Execs, Rate: p.Rate})
	}
	slices.SortFunc(list, func(a, b campaign.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Close announces what is left and says how much was shared.
func (s *shared) Close() error {
	if s == nil {
		return nil
	}
	peers := s.lane.Peers()
	err := s.lane.Close()
	c := s.lane.Counts()
	s.u.say("shared with %s: %d entries and findings announced, %d that are there already, %d of others run", count(len(peers), "other machine"), c.Announced, c.Refused, c.Ran)
	if n := c.Corrupt + c.Unfit; n > 0 {
		s.u.say("refused: %d corrupt messages and %d entries that are no inputs of this program", c.Corrupt, c.Unfit)
	}
	for _, f := range s.lane.Findings() {
		if f.Node != "" && !s.has(f.Key) {
			s.u.say("finding of %s: %s: %s (%s)", printable(f.Node), printable(f.Oracle), printable(oneLine(f.Title)), printable(f.Key))
		}
	}
	if err != nil {
		return fmt.Errorf("sharing: %w", err)
	}
	return nil
}

// has reports whether the finding of a key is in the output directory.
func (s *shared) has(key string) bool { return s.out.findings.Known(key) }
