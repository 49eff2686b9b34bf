package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// measured is what bench --json shows. Times are in nanoseconds of processor time for
// an execution, rates executions per second of wall time.
type measured struct {
	Kernel  string           `json:"kernel"`
	Machine string           `json:"machine"`
	CPUs    int              `json:"cpus"`
	Date    string           `json:"date"`
	Object  string           `json:"object"`
	Program string           `json:"program"`
	Type    string           `json:"type"`
	Runs    int              `json:"runs"`
	Seconds float64          `json:"seconds"`
	Seed    uint64           `json:"seed"`
	Packets []measuredPacket `json:"packets"`
	Rows    []measuredRow    `json:"rows"`
	Notes   []string         `json:"notes"`
}

type measuredPacket struct {
	Size  int `json:"size"`
	Edges int `json:"edges"`
	Total int `json:"total_edges"`
	// Inputs and Execs are those of the run that it was chosen from, 0 where it was
	// given.
	Inputs int    `json:"chosen_from"`
	Execs  uint64 `json:"chosen_after_execs"`
	Layers string `json:"layers,omitempty"`
}

type measuredRow struct {
	Way      string  `json:"way"`
	Executor string  `json:"executor,omitempty"`
	Size     int     `json:"size"`
	Slots    int     `json:"slots"`
	Workers  int     `json:"workers"`
	Execs    uint64  `json:"execs_done"`
	CPU      spread  `json:"cpu_ns"`
	Rate     spread  `json:"execs_per_sec"`
	Ratio    *spread `json:"ratio,omitempty"`
	Best     float64 `json:"best,omitempty"`
	Scale    *spread `json:"scale,omitempty"`
}

type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newMeasured(s *subject, f *benchFlags, r *bpf.BenchReport) *measured {
	shape := s.target.Shape()
	m := &measured{
		CPUs: runtime.NumCPU(), Date: time.Now().UTC().Format(time.DateOnly), Object: s.path, Program: shape.Program, Type: shape.Type,
		Runs: f.runs, Seconds: f.duration.Seconds(), Seed: f.seed, Notes: append([]string{}, r.Notes...),
	}
	m.Kernel, m.Machine = kernelRelease()
	for i := range r.Packets {
		p := &r.Packets[i]
		one := measuredPacket{Size: len(p.Packet), Edges: p.Edges, Total: p.Total, Inputs: p.Inputs, Execs: p.Execs}
		if !shape.Payload && len(p.Packet) > 0 {
			one.Layers = layers(p.Packet)
		}
		m.Packets = append(m.Packets, one)
	}
	for i := range r.Rows {
		m.Rows = append(m.Rows, newMeasuredRow(&r.Rows[i]))
	}
	return m
}

func newMeasuredRow(r *bpf.BenchRow) measuredRow {
	row := measuredRow{
		Way: r.Way, Executor: r.Executor, Size: r.Size, Slots: r.Slots, Workers: r.Workers, Execs: r.Execs,
		CPU: rounded(r.CPU, 1), Rate: rounded(r.Rate, 0),
	}
	if r.Ratio.Median > 0 {
		ratio := rounded(r.Ratio, 3)
		row.Ratio = &ratio
		row.Best = math.Round(r.Best*1000) / 1000
	}
	if r.Scale.Median > 0 {
		scale := rounded(r.Scale, 3)
		row.Scale = &scale
	}
	return row
}

// rounded keeps so many digits behind the point.
func rounded(s bpf.Spread, digits int) spread {
	unit := math.Pow10(digits)
	round := func(v float64) float64 { return math.Round(v*unit) / unit }
	return spread{round(s.Median), round(s.Min), round(s.Max)}
}

// layers names a packet's headers, outermost first.
func layers(p []byte) string {
	var l packet.Layout
	l.Parse(p, packet.Ethernet)
	var names []string
	for i := range l.Headers[:l.N] {
		names = append(names, l.Headers[i].Layer.String())
	}
	return strings.Join(names, " / ")
}

// text shows what was measured as a table.
func (m *measured) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) of %s, kernel %s on %s, %s, %s\n", m.Program, m.Type, m.Object, m.Kernel, m.Machine, count(m.CPUs, "processor"), m.Date)
	fmt.Fprintf(&b, "medians of %s of %s each, with their range; seed %d\n", count(m.Runs, "round"), time.Duration(m.Seconds*float64(time.Second)), m.Seed)
	for i := range m.Packets {
		b.WriteString(m.Packets[i].text())
	}
	b.WriteString("\n")
	rows := [][]string{{"WAY", "EXECUTOR", "PACKET", "SLOTS", "WORKERS", "CPU", "", "RATIO", "", "BEST", "RATE", "SCALE"}}
	for i := range m.Rows {
		rows = append(rows, m.Rows[i].cells())
	}
	writeTable(&b, rows)
	for _, note := range m.Notes {
		fmt.Fprintf(&b, "%s\n", note)
	}
	b.WriteString("CPU: ns of processor time for an execution. RATIO: executions in the processor time of a bare call.\n")
	b.WriteString("BEST: the same of the least times of all rounds.\n")
	b.WriteString("RATE: executions per second of all workers. SCALE: that over the rate of one worker.\n")
	return b.String()
}

func (p *measuredPacket) text() string {
	what := "input"
	if p.Size > 0 {
		what = "packet of " + count(p.Size, "byte")
	}
	if p.Layers != "" {
		what += " (" + p.Layers + ")"
	}
	from := "as given"
	if p.Inputs > 0 {
		from = fmt.Sprintf("the most of %s that %d executions kept", count(p.Inputs, "input"), p.Execs)
	}
	return fmt.Sprintf("%s: %d of %s, %s\n", what, p.Edges, count(p.Total, "edge"), from)
}

// cells are the columns of a row.
func (r *measuredRow) cells() []string {
	return []string{
		r.Way, dash(r.Executor), r.packet(), number(r.Slots), number(r.Workers),
		fmt.Sprintf("%.1f", r.CPU.Median), fmt.Sprintf("%.1f-%.1f", r.CPU.Min, r.CPU.Max),
		r.Ratio.short(), r.Ratio.span(), r.best(),
		fmt.Sprintf("%.0f", r.Rate.Median), r.Scale.short(),
	}
}

// best is the ratio of the least times, "-" without a bare call to compare with.
func (r *measuredRow) best() string {
	if r.Ratio == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.Best)
}

// packet is the length of a row's packets.
func (r *measuredRow) packet() string {
	switch {
	case r.Size == 0:
		return "any"
	case r.Way == bpf.BenchLoop:
		return fmt.Sprintf("up to %d", r.Size)
	}
	return number(r.Size)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func (s *spread) short() string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", s.Median)
}

func (s *spread) span() string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f-%.2f", s.Min, s.Max)
}
