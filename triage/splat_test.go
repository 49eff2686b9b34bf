package triage

import (
	"errors"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage/kernellog"
)

func TestHeard(t *testing.T) {
	judge := NewJudge([]Oracle{newKernelSplat(nil), newStderr(nil)}, nil)
	for _, test := range []struct {
		name, source, text, oracle string
		harmed                     bool
	}{
		{"a warning", SourceLog, "WARNING: CPU: 0 PID: 1 at net/core/filter.c:2", KernelSplat, false},
		{"an oops", SourceLog, "Oops: general protection fault", KernelSplat, true},
		{"another line", SourceLog, "eth0: link up", "", false},
		{"text of the program", SourceStderr, "port 5", Stderr, false},
		{"what a program prints", "trace", "WARNING: me", "", false},
	} {
		f, harmed := judge.Heard([]corpus.Event{{Source: test.source, Text: test.text}})
		got := ""
		if f != nil {
			got = f.Oracle
		}
		if got != test.oracle || harmed != test.harmed {
			t.Errorf("%s: oracle %q, harmed %v", test.name, got, harmed)
		}
	}
}

// judgeSplat returns what the oracle says of lines of the kernel's log.
func judgeSplat(lines ...string) error {
	out := &corpus.Outcome{Have: corpus.HaveEvents}
	for _, line := range lines {
		out.Events = append(out.Events, corpus.Event{Source: SourceLog, Text: line})
	}
	return newKernelSplat(nil).Judge(nil, out)
}

// One defect that shows on another processor, in another process and at another address has
// one title and one name, another defect has another one.
func TestSplatIsNamedByPlaceInKernel(t *testing.T) {
	const (
		first  = "WARNING: CPU: 1 PID: 812 at net/core/filter.c:1716 bpf_skb_load_bytes+0xc0/0xd0"
		second = "WARNING: CPU: 0 PID: 4711 at net/core/filter.c:1716 bpf_skb_load_bytes+0xc0/0xd0"
		other  = "WARNING: CPU: 0 PID: 4711 at net/core/filter.c:4471 bpf_xdp_adjust_tail+0xc0/0xd0"
	)
	name := func(line string) (title, key string) {
		err := judgeSplat(line)
		place, ok := errors.AsType[sited](err)
		if !ok {
			t.Fatalf("%q: %v has no place", line, err)
		}
		return err.Error(), place.site()
	}
	title, key := name(first)
	if again, sameKey := name(second); again != title || sameKey != key {
		t.Errorf("%q and %q, %q and %q", title, again, key, sameKey)
	}
	if _, otherKey := name(other); otherKey == key {
		t.Errorf("two defects are both %q", key)
	}
	if err := judgeSplat("Kernel panic - not syncing: Fatal exception in interrupt"); err == nil {
		t.Error("a panic is nothing")
	} else if _, ok := errors.AsType[sited](err); ok {
		t.Errorf("%v has a place", err)
	}
}

// However long complaints are, each is in the events at least with its head.
func TestComplaintsAreBounded(t *testing.T) {
	long := kernellog.Complaint{Head: "BUG: KASAN: use-after-free in a+0x1/0x2", Lines: slices.Repeat([]string{" b+0x1/0x2"}, maxComplaintLines)}
	long.Lines[0] = long.Head
	last := kernellog.Complaint{Head: "Oops: 0000 [#1]", Lines: []string{"Oops: 0000 [#1]", "RIP: 0010:a+0x1/0x2"}}
	events := AddComplaints(nil, []kernellog.Complaint{long, long, last})
	if len(events) > maxComplaintLines+2 || events[len(events)-1].Text != last.Head {
		t.Errorf("%d events, the last is %q", len(events), events[len(events)-1].Text)
	}
	if f, harmed := NewJudge([]Oracle{newKernelSplat(nil)}, nil).Heard(events); f == nil || !harmed {
		t.Errorf("the kernel is not harmed: %v", f)
	}
}
