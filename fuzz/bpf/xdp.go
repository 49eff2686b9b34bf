package bpf

import "github.com/bpffuzz/bpffuzz/corpus"

func xdpRow() programType {
	return programType{
		kind: "xdp", contextSize: xdpSize, context: xdpContext, output: xdpOutput(), fix: fixXDP,
		meta: true, frags: true, network: true,
		verdicts: xdpVerdicts(), closed: true,
	}
}

func xdpVerdicts() []corpus.Verdict {
	return []corpus.Verdict{
		{Value: 0, Name: "XDP_ABORTED"},
		{Value: 1, Name: "XDP_DROP"},
		{Value: 2, Name: "XDP_PASS"},
		{Value: 3, Name: "XDP_TX"},
		{Value: 4, Name: "XDP_REDIRECT"},
	}
}
