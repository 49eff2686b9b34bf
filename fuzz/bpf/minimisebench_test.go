package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/expr"
)

// BenchmarkInvestigate is what it takes from a failing packet of 200 bytes, all of them
// not zero behind the addresses, to a finding: confirmed, minimised in the kernel, and
// measured. The failure is the one in the firewall's example.
func BenchmarkInvestigate(b *testing.B) {
	needBatches(b)
	target := exampleTarget(b, "firewall")
	shape := target.Shape()
	const text = `verdict != "XDP_PASS" || in.ethernet.h_proto != 0x0800 || in.ipv4.protocol != 6 || in.tcp.dest in [22, 80, 443]`
	offered, err := expr.Compile("only-offered-services", text, shape)
	if err != nil {
		b.Fatal(err)
	}
	judge := triage.NewJudge([]triage.Oracle{offered}, nil)
	exec, err := target.NewExecutor(0)
	if err != nil {
		b.Fatal(err)
	}
	defer exec.Close()
	in := &corpus.Input{Steps: []corpus.Step{{Packet: optionsEnd(200)}}}
	opts := triage.Options{Table: target.Table(), Shape: shape}
	executions := 0
	for b.Loop() {
		f, err := triage.Investigate(b.Context(), exec.Alone, judge, in, opts, nil)
		if err != nil {
			b.Fatal(err)
		}
		executions = f.Executions
		if n := f.Input.Len(); n != 54 {
			b.Fatalf("the finding has %d bytes", n)
		}
	}
	b.ReportMetric(float64(executions), "executions")
}

// optionsEnd is a packet whose IPv4 options end early, so that the program takes its
// TCP header to be there, and lets it pass.
func optionsEnd(n int) []byte {
	packet := make([]byte, n)
	for i := range packet {
		packet[i] = byte(i) | 1
	}
	copy(packet[12:], []byte{8, 0, 0x48, 0, 0, byte(n - 14), 0, 1, 0, 0, 64, 6, 0, 0, 198, 51, 100, 1, 10, 0, 0, 1})
	copy(packet[34:], []byte{0, 7, 0, 80})
	return packet
}
