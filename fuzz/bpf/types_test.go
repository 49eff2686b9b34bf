package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// typeExamples are programs with a planted bug, one for each type that BPF_PROG_RUN
// runs and for each way to run it.
func typeExamples() []struct{ file, program, kind string } {
	return []struct{ file, program, kind string }{
		{"skb", "socket_filter", "socket_filter"},
		{"skb", "sched_cls", "sched_cls"},
		{"skb", "sched_act", "sched_act"},
		{"skb", "cgroup_ingress", "cgroup_skb"},
		{"skb", "cgroup_egress", "cgroup_skb"},
		{"skb", "route_in", "lwt_in"},
		{"skb", "route_out", "lwt_out"},
		{"skb", "route_xmit", "lwt_xmit"},
		{"xdp", "xdp_meta", "xdp"},
		{"xdp", "xdp_queue", "xdp"},
		{"xdp", "xdp_frags", "xdp"},
		{"flow_dissector", "dissect", "flow_dissector"},
		{"sk_lookup", "steer", "sk_lookup"},
		{"netfilter", "forward", "netfilter"},
		{"netfilter", "local_out", "netfilter"},
		{"tracing", "raw_tp", "raw_tracepoint"},
		{"tracing", "raw_tp_pointer", "raw_tracepoint"},
		{"tracing", "tp_btf", "tp_btf"},
		{"syscall", "serve", "syscall"},
		{"struct_ops", "test_1", "struct_ops"},
		{"struct_ops", "test_2", "struct_ops"},
	}
}

func newExample(t testing.TB, file, program string) *Target {
	t.Helper()
	needKernel(t)
	obj, err := Open("testdata/types/" + file + ".o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: program})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// bugReached is an invariant that the planted bugs break.
func bugReached() triage.Oracle {
	return triage.Oracle{
		Name: "reached", Need: corpus.HaveMaps, When: triage.Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			value, ok, err := out.Maps.Lookup(nil, ".bss", make([]byte, 4))
			if err != nil || !ok {
				return fmt.Errorf("reading .bss: %t, %w", ok, err)
			}
			if binary.NativeEndian.Uint32(value) != 0 {
				return errors.New("the planted bug was reached")
			}
			return nil
		},
	}
}

// Every type runs, and its planted bug is found behind packet and context.
func TestTypesFindPlantedBugs(t *testing.T) {
	for _, tt := range typeExamples() {
		t.Run(tt.kind+"/"+tt.program, func(t *testing.T) {
			target := newExample(t, tt.file, tt.program)
			if got := target.Shape().Type; got != tt.kind {
				t.Fatalf("type %s, want %s", got, tt.kind)
			}
			oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{
				Enable:     map[string]bool{"checksum-broken": false}, // some rewrite bytes to show that outputs are read
				Invariants: []triage.Oracle{bugReached()},
			})
			if err != nil {
				t.Fatal(err)
			}
			result, err := fuzz.Run(t.Context(), target, fuzz.Options{
				Seed: 1, Execs: 1_000_000, StopOnFinding: true,
				Seeds: mutate.Seeds(target.Shape()), Judge: triage.NewJudge(oracles, relations),
				Warn: func(err error) { t.Log(err) },
			})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			t.Logf("%s runs: %d executions", tt.kind, result.Stats.Execs)
			if len(result.Findings) != 1 || result.Findings[0].Oracle != "reached" {
				t.Errorf("%d findings, want the planted bug: %s; %d of %d edges", len(result.Findings), titles(result.Findings), result.Stats.Edges, result.Stats.Total)
			}
		})
	}
}

// The kernel accepts every value that the grammar calls legal, and, whatever the
// bytes, what fixContext makes of them.
func TestKernelAcceptsTheGrammar(t *testing.T) {
	for _, tt := range typeExamples() {
		t.Run(tt.program, func(t *testing.T) {
			target := newExample(t, tt.file, tt.program)
			isolated(t, func() {
				e := open(t, target)
				for _, s := range grammarSteps(target.Shape()) {
					out, err := e.Alone(t.Context(), &corpus.Input{Steps: []corpus.Step{s}}, wantAll)
					if err != nil {
						t.Error(err)
						return
					}
					if errno := out.Steps[0].Errno; errno != 0 {
						t.Errorf("packet of %d bytes %x, metadata %d, context %x: %v", len(s.Packet), s.Packet[:min(len(s.Packet), 16)], len(s.Meta), s.Context, errno)
						return
					}
				}
			})
		})
	}
}

// grammarSteps have each boundary of each field, each boundary of the packet, and
// random bytes for a context.
func grammarSteps(shape *corpus.Shape) []corpus.Step {
	var steps []corpus.Step
	add := func(packet, meta int, ethertype uint16, ctx []byte) {
		p := make([]byte, packet)
		if packet >= ethernet {
			binary.BigEndian.PutUint16(p[ethernet-2:], ethertype)
		}
		steps = append(steps, corpus.Step{Packet: p, Meta: make([]byte, meta), Context: ctx})
	}
	usual := min(100, shape.Packet.Max)
	for _, f := range shape.Context {
		for _, v := range slices.Concat([]uint64{f.Min, f.Max}, f.Values) {
			ctx := make([]byte, shape.ContextSize)
			putInteger(ctx[f.Offset:f.Offset+f.Size], v, f.Big)
			add(usual, 0, ethIPv4, ctx)
		}
	}
	random := rand.NewChaCha8([32]byte{1})
	for i := range 200 {
		ctx := make([]byte, shape.ContextSize)
		_, _ = random.Read(ctx)
		add(usual, min(i%8*4, shape.Meta.Max), []uint16{ethIPv4, ethIPv6, 0x0806}[i%3], ctx)
	}
	if shape.Packet.Max > 0 {
		add(shape.Packet.Min, 0, 0, nil)
		add(max(shape.Packet.Min, shape.MinIPv4), 0, ethIPv4, nil)
		add(max(shape.Packet.Min, shape.MinIPv6), 0, ethIPv6, nil)
		add(shape.Packet.Max, 0, ethIPv4, nil)
	}
	return steps
}

func titles(findings []*triage.Finding) (list []string) {
	for _, f := range findings {
		list = append(list, f.Oracle+": "+f.Title)
	}
	return list
}
