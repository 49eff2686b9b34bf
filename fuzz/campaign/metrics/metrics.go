// Package metrics tells Prometheus how a campaign or a run stands, with afl-fuzz's names
// for the numbers that both have.
package metrics

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

const namespace = "bpffuzz"

// Collector reads metrics off a Board. It is safe for concurrent use and holds nothing
// between two collections.
//
// What it tells does not depend on the machine: a target's metrics have the labels target
// and program, and no path, address or host name. Prometheus adds the instance itself.
type Collector struct {
	board   *campaign.Board
	columns []column
	descs   []*prometheus.Desc // of columns
	kinds   *prometheus.Desc
	states  *prometheus.Desc
	started *prometheus.Desc
	workers *prometheus.Desc
	peers   *prometheus.Desc
}

// NewCollector returns a Collector of what is on the board.
func NewCollector(board *campaign.Board) *Collector {
	c := &Collector{
		board: board, columns: columns(),
		kinds:   describe("findings", "Findings in the target's directory by the oracle that made them, and whether somebody marked them as known.", "target", "program", "kind", "known"),
		states:  describe("target_state", "1 for what is done with the target, 0 for the other states.", "target", "program", "state"),
		started: describe("start_time_seconds", "When this process began, in seconds since 1970."),
		workers: describe("workers", "Workers that run at once, over all targets."),
		peers:   describe("peers", "Other machines that work on the same targets."),
	}
	for _, one := range c.columns {
		c.descs = append(c.descs, describe(one.name, one.help, "target", "program"))
	}
	return c
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range append(c.descs[:len(c.descs):len(c.descs)], c.kinds, c.states, c.started, c.workers, c.peers) {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := c.board.Status()
	if !s.Started.IsZero() {
		out <- value(c.started, unix(s.Started))
	}
	out <- value(c.workers, float64(s.Workers))
	out <- value(c.peers, float64(len(s.Peers)))
	for i := range s.Targets {
		c.target(out, s, &s.Targets[i])
	}
}

func (c *Collector) target(out chan<- prometheus.Metric, s *campaign.Status, t *campaign.TargetStatus) {
	name, program := label(t.Name), label(t.Program)
	for i, one := range c.columns {
		if v, ok := one.value(s, t); ok {
			out <- prometheus.MustNewConstMetric(c.descs[i], one.kind, v, name, program)
		}
	}
	for _, state := range []campaign.State{campaign.Waiting, campaign.Running, campaign.Ended, campaign.Failed} {
		out <- value(c.states, flag(t.State == state), name, program, stateName(state))
	}
	type group struct {
		kind  string
		known bool
	}
	groups := map[group]int{}
	for i := range t.Findings {
		groups[group{label(t.Findings[i].Kind), t.Findings[i].Known}]++
	}
	for g, n := range groups {
		out <- value(c.kinds, float64(n), name, program, g.kind, known(g.known))
	}
}

// label makes a value of a foreign name: Prometheus takes UTF-8 only.
func label(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

func value(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func known(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func stateName(s campaign.State) string {
	if s == campaign.Waiting {
		return "waiting"
	}
	return string(s)
}

// Registry returns a registry of the board's metrics and those of this process: memory,
// file descriptors, processor time, and the Go runtime's.
func Registry(board *campaign.Board, version string) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of bpffuzz as a label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r.MustRegister(NewCollector(board), info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler serves the registry in the formats of Prometheus and OpenMetrics. It answers
// a few requests at a time, so that nobody who asks too often holds up fuzzing.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		Registry: r, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	})
}
