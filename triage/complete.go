package triage

import (
	"fmt"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// newChecksumComplete runs an input again as if a network card had summed up the
// packet: a program that changes bytes has to keep that sum right, or the stack
// drops the packet.
func newChecksumComplete(*corpus.Shape) Relation {
	return Relation{
		Name: "checksum-complete", Need: corpus.HaveRet, When: Sampled,
		Twin: completeTwin,
		Judge: func(a, b *corpus.Outcome) error {
			for i := range min(len(a.Steps), len(b.Steps)) {
				if a.Steps[i].Errno == 0 && b.Steps[i].Errno == syscall.EBADMSG {
					return fmt.Errorf("step %d: the program changed bytes without updating skb->csum (EBADMSG with BPF_F_TEST_SKB_CHECKSUM_COMPLETE)", i)
				}
			}
			return nil
		},
	}
}

// completeTwin makes the twin with the flag; an input that has it is its own.
func completeTwin(dst, src *corpus.Input, _ *corpus.Outcome) bool {
	*dst = *src.Clone()
	added := false
	for i := range dst.Steps {
		added = added || dst.Steps[i].Flags&corpus.ChecksumComplete == 0
		dst.Steps[i].Flags |= corpus.ChecksumComplete
	}
	return added
}
