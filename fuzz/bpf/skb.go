package bpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// ethernet is the size of an Ethernet header.
const ethernet = 14

// skbRows are the types whose context is __sk_buff and whose packet is a whole
// frame.
func skbRows() map[rowKey]programType {
	skb := programType{
		contextSize: skbSize, context: skbContext, output: skbOutput(), fix: fixSkb,
		minIPv4: 34, minIPv6: 54, network: true, flags: corpus.ChecksumComplete,
	}
	row := func(kind string, hidden int, verdicts []corpus.Verdict, closed bool) programType {
		r := skb
		r.kind, r.hidden, r.verdicts, r.closed = kind, hidden, verdicts, closed
		return r
	}
	return map[rowKey]programType{
		{typ: ebpf.SchedCLS}:                          row("sched_cls", 0, tcVerdicts(), true),
		{typ: ebpf.SchedACT}:                          row("sched_act", 0, tcVerdicts(), true),
		{typ: ebpf.SocketFilter}:                      row("socket_filter", ethernet, nil, false), // how many bytes to keep
		{typ: ebpf.CGroupSKB}:                         row("cgroup_skb", ethernet, ingressVerdicts(), true),
		{ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress}: row("cgroup_skb", ethernet, egressVerdicts(), true),
		{typ: ebpf.LWTIn}:                             row("lwt_in", ethernet, lwtVerdicts(), true),
		{typ: ebpf.LWTOut}:                            row("lwt_out", ethernet, lwtVerdicts(), true),
		{typ: ebpf.LWTXmit}:                           row("lwt_xmit", ethernet, lwtVerdicts(), true),
	}
}

// ingressVerdicts also are those of programs whose section does not say where they
// are attached: the verifier holds them to these.
func ingressVerdicts() []corpus.Verdict {
	return []corpus.Verdict{{Value: 0, Name: "DROP"}, {Value: 1, Name: "PASS"}}
}

func egressVerdicts() []corpus.Verdict {
	return append(ingressVerdicts(),
		corpus.Verdict{Value: 2, Name: "DROP_CN"}, corpus.Verdict{Value: 3, Name: "PASS_CN"}) // and congestion notified
}

func lwtVerdicts() []corpus.Verdict {
	return []corpus.Verdict{
		{Value: 0, Name: "BPF_OK"},
		{Value: 2, Name: "BPF_DROP"},
		{Value: 7, Name: "BPF_REDIRECT"},
		{Value: 128, Name: "BPF_LWT_REROUTE"},
	}
}

// unhide puts the input's Ethernet header where the kernel gives zeros for one
// that the program does not see, so that oracles read one packet before and one
// after. The ethertype follows an IP version that the program changed.
func unhide(out, in []byte, hidden int) {
	if hidden == 0 || len(out) < hidden || len(in) < hidden {
		return
	}
	copy(out, in[:hidden])
	if len(out) == hidden || len(in) == hidden || out[hidden]>>4 == in[hidden]>>4 {
		return
	}
	switch ethertype := out[hidden-2 : hidden]; out[hidden] >> 4 {
	case 4:
		binary.BigEndian.PutUint16(ethertype, ethIPv4)
	case 6:
		binary.BigEndian.PutUint16(ethertype, ethIPv6)
	}
}

const (
	ethIPv4 = 0x0800
	ethIPv6 = 0x86dd
)

func tcVerdicts() []corpus.Verdict {
	return []corpus.Verdict{
		{Value: 0xffffffff, Name: "TC_ACT_UNSPEC"},
		{Value: 0, Name: "TC_ACT_OK"},
		{Value: 1, Name: "TC_ACT_RECLASSIFY"},
		{Value: 2, Name: "TC_ACT_SHOT"},
		{Value: 3, Name: "TC_ACT_PIPE"},
		{Value: 4, Name: "TC_ACT_STOLEN"},
		{Value: 5, Name: "TC_ACT_QUEUED"},
		{Value: 6, Name: "TC_ACT_REPEAT"},
		{Value: 7, Name: "TC_ACT_REDIRECT"},
		{Value: 8, Name: "TC_ACT_TRAP"},
	}
}
