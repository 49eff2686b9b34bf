package bpf

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Struct bpf_flow_keys of the kernel's user-space interface.
const (
	keysSize     = 56
	keysOffFlags = 48
)

// keysFlags are those of BPF_FLOW_DISSECTOR_F: parse first fragments, stop at the
// flow label, stop at an encapsulation.
const keysFlags = 7

// flowRow is of flow dissectors: their outcome is the flow keys, which come as
// data_out and are given as packet and as context. The kernel clamps nhoff and
// thoff after the run, which hides wild values.
func flowRow() programType {
	return programType{
		kind: "flow_dissector", contextSize: keysSize, context: flowContext, output: flowOutput(), fix: noFix,
		result: keysResult, answer: noAnswer,
		verdicts: []corpus.Verdict{
			{Value: 0, Name: "BPF_OK"},
			{Value: 2, Name: "BPF_DROP"},
			{Value: 129, Name: "BPF_FLOW_DISSECTOR_CONTINUE"},
		}, closed: true,
	}
}

func flowContext(int, *machine) []corpus.Field {
	return []corpus.Field{
		{Name: "flags", Offset: keysOffFlags, Size: 4, Max: keysFlags, Values: []uint64{0, 1, 2, 4}},
	}
}

func flowOutput() []corpus.Field {
	fields := []corpus.Field{
		{Name: "nhoff", Offset: 0, Size: 2},
		{Name: "thoff", Offset: 2, Size: 2},
		{Name: "addr_proto", Offset: 4, Size: 2},
		{Name: "is_frag", Offset: 6, Size: 1},
		{Name: "is_first_frag", Offset: 7, Size: 1},
		{Name: "is_encap", Offset: 8, Size: 1},
		{Name: "ip_proto", Offset: 9, Size: 1},
		{Name: "n_proto", Offset: 10, Size: 2, Big: true},
		{Name: "sport", Offset: 12, Size: 2, Big: true},
		{Name: "dport", Offset: 14, Size: 2, Big: true},
	}
	// A union: the addresses of IPv4 are the beginning of those of IPv6.
	fields = append(fields,
		corpus.Field{Name: "ipv4_src", Offset: 16, Size: 4, Big: true},
		corpus.Field{Name: "ipv4_dst", Offset: 20, Size: 4, Big: true})
	fields = append(fields, words("ipv6_src", 16, 4)...)
	fields = append(fields, words("ipv6_dst", 32, 4)...)
	return append(fields,
		corpus.Field{Name: "flags", Offset: keysOffFlags, Size: 4},
		corpus.Field{Name: "flow_label", Offset: 52, Size: 4, Big: true})
}

// words are the elements of an array of __be32.
func words(name string, offset, n int) []corpus.Field {
	fields := make([]corpus.Field, n)
	for i := range fields {
		fields[i] = corpus.Field{Name: fmt.Sprintf("%s[%d]", name, i), Offset: offset + 4*i, Size: 4, Big: true}
	}
	return fields
}
