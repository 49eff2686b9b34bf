package triage

import (
	"strings"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestChecksumComplete(t *testing.T) {
	r := newChecksumComplete(nil)
	src := &corpus.Input{Steps: []corpus.Step{{Packet: []byte{1}}, {Flags: corpus.ChecksumComplete}}}
	var twin corpus.Input
	if !r.Twin(&twin, src, nil) {
		t.Fatal("no twin")
	}
	for i := range twin.Steps {
		if twin.Steps[i].Flags != corpus.ChecksumComplete {
			t.Errorf("step %d has flags %#x", i, twin.Steps[i].Flags)
		}
	}
	if src.Steps[0].Flags != 0 {
		t.Error("the input was changed")
	}
	if r.Twin(&corpus.Input{}, &twin, nil) {
		t.Error("an input that has the flag in each step has a twin")
	}
	answer := func(errno syscall.Errno) *corpus.Outcome {
		return &corpus.Outcome{Steps: []corpus.StepOutcome{{Errno: errno}}}
	}
	if err := r.Judge(answer(0), answer(0)); err != nil {
		t.Error(err)
	}
	if err := r.Judge(answer(syscall.EINVAL), answer(syscall.EBADMSG)); err != nil {
		t.Errorf("a step that did not run: %v", err)
	}
	if err := r.Judge(answer(0), answer(syscall.EBADMSG)); err == nil || !strings.Contains(err.Error(), "skb->csum") {
		t.Errorf("%v, want one about skb->csum", err)
	}
}
