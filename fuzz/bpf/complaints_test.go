package bpf

import (
	"encoding/binary"
	"strings"
	"testing"
)

// word returns a context of size bytes in which the word at an offset has a value.
func word(size, offset int, value uint32) []byte {
	ctx := make([]byte, size)
	binary.NativeEndian.PutUint32(ctx[offset:], value)
	return ctx
}

// xdpWord is word for a packet of 60 bytes of XDP.
func xdpWord(offset int, value uint32) []byte {
	ctx := word(xdpSize, offset, value)
	if offset != xdpOffDataEnd {
		binary.NativeEndian.PutUint32(ctx[xdpOffDataEnd:], 60)
	}
	return ctx
}

// What the kernel refuses with a number is explained in a line that names the field
// and the rule.
func TestComplaintsNameFieldAndRule(t *testing.T) {
	needKernel(t)
	packet := make([]byte, 60)
	for _, tt := range []struct {
		name, file, program string
		run                 RawRun
		want                []string
	}{
		{"interface", "xdp", "xdp_meta", RawRun{Data: packet, Context: xdpWord(xdpOffIngress, 77)}, []string{"ingress_ifindex", "77", "lo (1)"}},
		{"queue", "xdp", "xdp_meta", RawRun{Data: packet, Context: xdpWord(xdpOffQueue, 1)}, []string{"rx_queue_index", "ingress_ifindex"}},
		{"data_meta", "xdp", "xdp_meta", RawRun{Data: packet, Context: xdpWord(xdpOffMeta, 4)}, []string{"data_meta", "has to be 0"}},
		{"egress", "xdp", "xdp_meta", RawRun{Data: packet, Context: xdpWord(xdpOffEgress, 1)}, []string{"egress_ifindex", "has to be 0"}},
		{"data", "xdp", "xdp_meta", RawRun{Data: packet, Context: xdpWord(xdpOffData, 3)}, []string{"metadata", "multiple of 4"}},
		{"data_end", "xdp", "xdp_meta", RawRun{Data: packet, Context: xdpWord(xdpOffDataEnd, 61)}, []string{"data_end", "61", "60 bytes"}},
		{"skb interface", "skb", "sched_cls", RawRun{Data: packet, Context: word(skbSize, 40, 77)}, []string{"ifindex", "77", "lo (1)"}},
		{"skb wire_len", "skb", "sched_cls", RawRun{Data: packet, Context: word(skbSize, skbOffWireLen, 59)}, []string{"wire_len", "59", "60"}},
		{"skb length", "skb", "sched_cls", RawRun{Data: packet, Context: word(skbSize, 0, 1)}, []string{"byte 0", "mark, priority"}},
		{"skb gso", "skb", "sched_cls", RawRun{Data: packet, Context: word(skbSize, 164, 70000)}, []string{"gso_segs", "70000"}},
		{"family", "sk_lookup", "steer", RawRun{Context: word(lookupSize, lookupOffFamily, 1)}, []string{"family", "AF_INET6"}},
		{"cookie", "sk_lookup", "steer", RawRun{Context: append(word(8, 0, 1), word(lookupSize-8, 0, 2)...)}, []string{"byte 0", "remote_port"}},
		{"port", "sk_lookup", "steer", RawRun{Context: func() []byte { c := word(lookupSize, 60, 65536); c[lookupOffFamily] = 2; return c }()}, []string{"local_port", "65536", "65535"}},
		{"flow keys", "flow_dissector", "dissect", RawRun{Data: packet, Context: word(56, 0, 1)}, []string{"byte 0", "flags"}},
		{"hook", "netfilter", "forward", RawRun{Data: make([]byte, 60), Context: word(4, 0, 0x909)}, []string{"hook", "9", "4"}},
		{"short arguments", "tracing", "raw_tp", RawRun{Context: make([]byte, 8)}, []string{"8 bytes", "as many arguments"}},
		{"long arguments", "tracing", "raw_tp", RawRun{Context: make([]byte, 104)}, []string{"104 bytes", "at most 12"}},
		{"absent processor", "tracing", "raw_tp", RawRun{Context: make([]byte, 96), Flags: FlagOnCPU, CPU: 4000}, []string{"processor 4000"}},
		{"short structure", "syscall", "serve", RawRun{Context: make([]byte, 4)}, []string{"4 bytes", "as many as the program reads"}},
		{"long structure", "syscall", "serve", RawRun{Context: make([]byte, 65536)}, []string{"65536 bytes", "65535"}},
		{"arguments of an operation", "struct_ops", "test_2", RawRun{Context: make([]byte, 8)}, []string{"8 bytes", "each argument"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obj, err := Open("testdata/types/" + tt.file + ".o")
			if err != nil {
				t.Fatal(err)
			}
			l, err := LoadPlain(obj, Options{Program: tt.program})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, err = l.Run(tt.run)
			if err == nil {
				t.Fatal("the kernel runs it")
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
			for _, word := range append(tt.want, tt.program) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v does not say %q", err, word)
				}
			}
		})
	}
}
