package bpf

import (
	"fmt"
	"math"

	"github.com/cilium/ebpf"
)

// whySize names the rule that the size of a context breaks which the program's own
// code decides. It is the only one that such contexts have.
func (l *Loaded) whySize(size int) string {
	switch l.spec.Type {
	case ebpf.RawTracepoint:
		return fmt.Sprintf("ctx_in has %d bytes: it takes as many arguments of %d bytes as the program reads, and at most %d of them", size, wordSize, maxArguments)
	case ebpf.Syscall:
		return fmt.Sprintf("ctx_in has %d bytes: it takes as many as the program reads, and at most %d", size, maxSyscallContext)
	case ebpf.StructOps:
		return fmt.Sprintf("ctx_in has %d bytes: it takes %d for each argument of the operation, no more and no fewer", size, wordSize)
	}
	return ""
}

// whyRange names the first field of a context that is outside of its range. An
// interface has to be in the private network namespace, where lo is alone.
func (l *Loaded) whyRange(ctx []byte) string {
	for _, f := range l.row.context(0, nil) {
		if f.Offset+f.Size > len(ctx) || f.Max == 0 {
			continue
		}
		value := integerAt(ctx[f.Offset:f.Offset+f.Size], f.Big)
		if value >= f.Min && value <= f.Max {
			continue
		}
		if f.Name == "ifindex" || f.Name == "ingress_ifindex" {
			return fmt.Sprintf("%s in ctx_in is %d: there is no such interface in the private network namespace, which has lo (1) alone", f.Name, value)
		}
		return fmt.Sprintf("%s in ctx_in is %d, and the kernel takes %d to %d", f.Name, value, f.Min, f.Max)
	}
	return ""
}

// whyPlace names the field of a context that does not agree with the packet.
func (l *Loaded) whyPlace(r *RawRun) string {
	at := func(offset int) int {
		if offset+4 > len(r.Context) {
			return 0
		}
		return int(integerAt(r.Context[offset:offset+4], false))
	}
	size := len(r.Data)
	switch {
	case l.row.contextSize == skbSize:
		if n := at(skbOffWireLen); n != 0 && n < size {
			return fmt.Sprintf("wire_len in ctx_in is %d, and has to be 0 or from the packet's length, which is %d, to %d", n, size, maxWireLen)
		}
	case l.spec.Type != ebpf.XDP:
	case at(xdpOffDataEnd) > size:
		return fmt.Sprintf("data_end in ctx_in is %d, and data_in has %d bytes", at(xdpOffDataEnd), size)
	case at(xdpOffData) > at(xdpOffDataEnd):
		return fmt.Sprintf("data in ctx_in, the length of the metadata, is %d, and data_end is %d", at(xdpOffData), at(xdpOffDataEnd))
	case at(xdpOffData)%4 != 0:
		return fmt.Sprintf("data in ctx_in, the length of the metadata, is %d, and has to be a multiple of 4", at(xdpOffData))
	case at(xdpOffData) > l.mostMeta():
		return fmt.Sprintf("data in ctx_in, the length of the metadata, is %d, and this kernel takes at most %d", at(xdpOffData), l.mostMeta())
	case at(xdpOffQueue) != 0:
		return fmt.Sprintf("rx_queue_index in ctx_in is %d: it needs an ingress_ifindex with so many queues, and lo has one", at(xdpOffQueue))
	case at(xdpOffMeta) != 0:
		return fmt.Sprintf("data_meta in ctx_in is %d and has to be 0: metadata begins where the packet's memory does", at(xdpOffMeta))
	case at(xdpOffEgress) != 0:
		return fmt.Sprintf("egress_ifindex in ctx_in is %d and has to be 0: only programs of a devmap have one, and they are not run", at(xdpOffEgress))
	}
	return ""
}

// mostMeta returns the largest metadata of an XDP program, in bytes, without bound
// where it cannot be measured.
func (l *Loaded) mostMeta() int {
	limits, err := l.row.limits(l.spec)
	if err != nil {
		return math.MaxInt
	}
	return limits.Meta
}
