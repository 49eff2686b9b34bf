package bpf

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Programs find sockets in hashes of sockets, under the keys that somebody chose or
// under numbers.
func TestSocketsInHashes(t *testing.T) {
	needKernel(t)
	flow := func(port int) any { return map[string]any{"addr": "10.0.0.1", "port": port, "proto": 17} }
	for _, tt := range []struct {
		name, program string
		contents      MapContents
		set           map[string]uint64
		verdict       uint32
		found         bool
	}{
		{name: "number of a TCP socket", program: "by_number", set: map[string]uint64{"protocol": unix.IPPROTO_TCP, "remote_port": 2}, verdict: 1, found: true},
		{name: "number of a UDP socket", program: "by_number", set: map[string]uint64{"protocol": unix.IPPROTO_UDP, "remote_port": 3}, verdict: 1, found: true},
		{name: "number of a socket of the other kind", program: "by_number", set: map[string]uint64{"protocol": unix.IPPROTO_TCP, "remote_port": 3}},
		{name: "number behind the last", program: "by_number", set: map[string]uint64{"protocol": unix.IPPROTO_TCP, "remote_port": 4}},
		{
			name: "chosen key", program: "by_flow", contents: MapContents{"flows": {{Key: flow(53), Value: "udp"}}},
			set: map[string]uint64{"protocol": unix.IPPROTO_UDP, "local_ip4": 0x0a000001, "local_port": 53}, verdict: 1, found: true,
		},
		{
			name: "other key than the chosen one", program: "by_flow", contents: MapContents{"flows": {{Key: flow(54), Value: "udp"}}},
			set: map[string]uint64{"protocol": unix.IPPROTO_UDP, "local_ip4": 0x0a000001, "local_port": 53},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obj, err := Open("testdata/types/sk_lookup.o")
			if err != nil {
				t.Fatal(err)
			}
			target, err := NewTarget(obj, Options{Program: tt.program, Setup: Setup{Maps: tt.contents}})
			if err != nil {
				t.Fatal(err)
			}
			if noted := strings.Contains(strings.Join(target.Notes(), "\n"), "sockets stand in"); noted == (tt.contents != nil) {
				t.Errorf("notes are %q", target.Notes())
			}
			swap := map[string]uint64{}
			for name, value := range tt.set {
				if name == "remote_port" { // the program takes it as it is
					value = value << 8
				}
				swap[name] = value
			}
			in := &corpus.Input{Steps: []corpus.Step{{Context: contextWith(t, target.Shape(), swap)}}}
			onExecutor(t, target, func(e *executor) {
				out, err := e.Alone(t.Context(), in, corpus.HaveContext)
				if err != nil {
					t.Fatal(err)
				}
				step := &out.Steps[0]
				if step.Ret != tt.verdict || (integerAt(step.Context[:8], false) != 0) != tt.found {
					t.Errorf("verdict %d, cookie %x; want %d and a socket: %t", step.Ret, step.Context[:8], tt.verdict, tt.found)
				}
			})
		})
	}
}

// Sockets are for programs that choose among them.
func TestSocketsAreRefused(t *testing.T) {
	obj, err := Open("testdata/trigger/sk_msg.o")
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewTarget(obj, Options{Program: obj.Programs()[0].Name, Setup: Setup{Maps: MapContents{"socks": {{Key: 0, Value: "tcp"}}}}})
	if err == nil || !strings.Contains(err.Error(), "sk_msg") || !strings.Contains(err.Error(), "leave it empty") {
		t.Errorf("sockets for sk_msg: %v", err)
	}
}
