package bpf

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// udpPacket is a frame with IPv4 and UDP to a port.
func udpPacket(port uint16) []byte {
	p := make([]byte, 60)
	copy(p, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00\x45\x00\x00\x2e\x00\x00\x00\x00\x40\x11\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02")
	binary.BigEndian.PutUint16(p[36:], port)
	return p
}

// set writes fields of a context by name.
func set(t testing.TB, shape *corpus.Shape, values map[string]uint64) []byte {
	t.Helper()
	ctx := make([]byte, shape.ContextSize)
	for name, v := range values {
		found := false
		for _, f := range shape.Context {
			if f.Name == name {
				putInteger(ctx[f.Offset:f.Offset+f.Size], v, f.Big)
				found = true
			}
		}
		if !found {
			t.Fatalf("%s has no field %q", shape.Type, name)
		}
	}
	return ctx
}

// get reads a field of an outcome's context.
func get(t testing.TB, shape *corpus.Shape, ctx []byte, name string) uint64 {
	t.Helper()
	for _, f := range shape.Output {
		if f.Name == name && f.Offset+f.Size <= len(ctx) {
			return integerAt(ctx[f.Offset:f.Offset+f.Size], f.Big)
		}
	}
	t.Fatalf("an outcome of %s with a context of %d bytes has no field %q", shape.Type, len(ctx), name)
	return 0
}

// What each type gives back arrives in the outcome.
func TestTypesGiveOutcomes(t *testing.T) {
	tests := []struct {
		file, program string
		packet        []byte
		context       map[string]uint64
		ret           uint32
		output        map[string]uint64 // fields of the context after the run
	}{
		{"skb", "socket_filter", udpPacket(1), nil, 46, map[string]uint64{"mark": 0}},
		{"skb", "cgroup_egress", udpPacket(1), map[string]uint64{"mark": 5}, 3, map[string]uint64{"mark": 5}},
		{"xdp", "xdp_queue", udpPacket(1), map[string]uint64{"ingress_ifindex": 2, "rx_queue_index": 5}, 2, map[string]uint64{"ingress_ifindex": 2, "rx_queue_index": 5}},
		{"flow_dissector", "dissect", udpPacket(1), nil, 0, map[string]uint64{"nhoff": 14, "thoff": 34, "ip_proto": 17, "ipv4_src": 0x0a000001, "n_proto": 0x0800}},
		{"sk_lookup", "steer", nil, map[string]uint64{"local_port": 80}, 1, map[string]uint64{"cookie": 0, "local_port": 80}},
		{"netfilter", "forward", udpPacket(1), map[string]uint64{"hook": 2}, 1, nil},
		{"syscall", "serve", nil, map[string]uint64{"op": 7, "len": 3, "key": 0xfeedface12345678}, 0, map[string]uint64{"answer": 3, "op": 7}},
		{"syscall", "serve", nil, nil, 1, map[string]uint64{"answer": 0xffffffff}},
		{"struct_ops", "test_1", nil, map[string]uint64{"args[0].val": 41}, 1, map[string]uint64{"args[0].val": 42}},
		{"struct_ops", "test_1", nil, map[string]uint64{"args[0].null": 1}, 0, map[string]uint64{"args[0].null": 1}},
		{"struct_ops", "test_2", nil, map[string]uint64{"args[1]": 0xffffff9c, "args[2]": 7, "args[3]": 9, "args[4]": 0x1234567890}, 9, nil},
	}
	for _, tt := range tests {
		t.Run(tt.program, func(t *testing.T) {
			target := newExample(t, tt.file, tt.program)
			shape := target.Shape()
			isolated(t, func() {
				in := &corpus.Input{Steps: []corpus.Step{{Packet: tt.packet, Context: set(t, shape, tt.context)}}}
				out := alone(t, open(t, target), in).Steps[0]
				if out.Ret != tt.ret {
					t.Errorf("returned %d, want %d", out.Ret, tt.ret)
				}
				for name, want := range tt.output {
					if got := get(t, shape, out.Context, name); got != want {
						t.Errorf("%s is %#x, want %#x", name, got, want)
					}
				}
				if !shape.NoResult && len(tt.packet) > 0 && !bytes.Equal(out.Packet, tt.packet) {
					t.Errorf("packet %x, want the input's %x", out.Packet, tt.packet)
				}
			})
		})
	}
}

// A program that chooses a socket is shown by the cookie.
func TestLookupChoosesSockets(t *testing.T) {
	target := newExample(t, "sk_lookup", "steer")
	if notes := strings.Join(target.Notes(), "\n"); !strings.Contains(notes, `map "sockets"`) {
		t.Errorf("the notes do not speak of the sockets: %q", notes)
	}
	shape := target.Shape()
	isolated(t, func() {
		e := open(t, target)
		cookies := map[uint64]bool{0: true}
		for _, protocol := range []uint64{6, 17} {
			in := &corpus.Input{Steps: []corpus.Step{{Context: set(t, shape, map[string]uint64{"protocol": protocol, "local_port": 7001})}}}
			out := alone(t, e, in).Steps[0]
			cookie := get(t, shape, out.Context, "cookie")
			if out.Ret != 1 || cookies[cookie] {
				t.Errorf("protocol %d: returned %d with the cookie %d, want a socket of its own", protocol, out.Ret, cookie)
			}
			cookies[cookie] = true
		}
	})
}

// A program that does not see the Ethernet header gets it back as it was.
func TestHiddenHeaderIsBack(t *testing.T) {
	target := newExample(t, "skb", "route_xmit")
	isolated(t, func() {
		packet := udpPacket(1)
		out := alone(t, open(t, target), &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}).Steps[0]
		want := bytes.Clone(packet)
		want[15] = 0xb8
		binary.BigEndian.PutUint16(want[24:], 0xffff-0xb8) // from a checksum of 0
		if !bytes.Equal(out.Packet, want) {
			t.Errorf("packet %x, want %x", out.Packet, want)
		}
	})
}

func TestUnhide(t *testing.T) {
	in := append([]byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00"), 0x45)
	for _, tt := range []struct {
		name      string
		version   byte
		ethertype uint16
	}{{"same", 0x45, ethIPv4}, {"encapsulated", 0x60, ethIPv6}, {"garbage", 0xf0, ethIPv4}} {
		t.Run(tt.name, func(t *testing.T) {
			out := append(make([]byte, ethernet), tt.version)
			unhide(out, in, ethernet)
			if !bytes.Equal(out[:12], in[:12]) || binary.BigEndian.Uint16(out[12:]) != tt.ethertype {
				t.Errorf("%x, want the input's header with ethertype %#x", out, tt.ethertype)
			}
		})
	}
	short := []byte{1, 2}
	unhide(short, in, ethernet)
	if !bytes.Equal(short, []byte{1, 2}) {
		t.Error("an output that is too short was written to")
	}
}

// A raw tracepoint runs on the processor of choice.
func TestRunsOnCPU(t *testing.T) {
	target := newExample(t, "tracing", "raw_tp")
	shape := target.Shape()
	if shape.CPUs < 2 {
		t.Skip("one processor leaves no choice")
	}
	isolated(t, func() {
		e := open(t, target)
		ctx := set(t, shape, map[string]uint64{"args[1]": 16, "args[3]": 65536})
		for cpu, want := range []bool{false, true} {
			in := &corpus.Input{Steps: []corpus.Step{{Context: ctx, Flags: corpus.OnCPU, CPU: int32(cpu)}}}
			if got := bugReached().Judge(in, alone(t, e, in)) != nil; got != want {
				t.Errorf("processor %d: bug %t, want %t", cpu, got, want)
			}
		}
	})
}

// The kernel checks skb->csum where it is asked to, and the oracle asks.
func TestChecksumComplete(t *testing.T) {
	oracle := triage.OracleOptions{Enable: map[string]bool{"checksum-complete": true, "checksum-broken": false}}
	for program, want := range map[string]bool{"scrub": true, "route_xmit": false, "sched_cls": false} {
		t.Run(program, func(t *testing.T) {
			target := newExample(t, "skb", program)
			oracles, relations, err := triage.Oracles(target.Shape(), oracle)
			if err != nil {
				t.Fatal(err)
			}
			isolated(t, func() {
				e := open(t, target)
				in := &corpus.Input{Steps: []corpus.Step{{Packet: udpPacket(1)}}}
				failure, err := triage.NewJudge(oracles, relations).Sampled(t.Context(), e.Alone, in)
				if err != nil {
					t.Error(err)
				}
				if got := failure != nil && failure.Oracle == "checksum-complete"; got != want {
					t.Errorf("%v, want a failure: %t", failure, want)
				}
			})
		})
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	for _, tt := range []struct{ file, program string }{
		{"skb", "route_xmit"},
		{"flow_dissector", "dissect"},
		{"netfilter", "forward"},
		{"sk_lookup", "steer"},
		{"syscall", "serve"},
		{"struct_ops", "test_1"},
		{"tracing", "raw_tp_pointer"},
		{"tracing", "tp_btf"},
	} {
		t.Run(tt.program, func(t *testing.T) {
			target := newExample(t, tt.file, tt.program)
			isolated(t, func() {
				e := open(t, target)
				step := corpus.Step{Context: make([]byte, target.Shape().ContextSize)}
				if target.Shape().Packet.Max > 0 {
					step.Packet = udpPacket(1)
				}
				out := make([]byte, 1<<17)
				var o corpus.StepOutcome
				if n := testing.AllocsPerRun(100, func() {
					if err := e.step(e.hot, &step, &o, out, nil); err != nil {
						t.Error(err)
					}
				}); n != 0 {
					t.Errorf("%v allocations", n)
				}
			})
		})
	}
}
