package triage

import (
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Names of oracles that hear what the kernel and the program say.
const (
	KernelSplat = "kernel-splat"
	Stderr      = "stderr"
)

// Sources of events that oracles judge.
const (
	SourceLog    = "kmsg"
	SourceStderr = "stderr"
)

// Splat is what a line of the kernel's log says of the kernel's health.
type Splat uint8

const (
	// Sound is any other line.
	Sound Splat = iota
	// Warned is a kernel that noticed something wrong and goes on as before.
	Warned
	// Harmed is a kernel that may have lost a task, a lock or memory: what led to it
	// is not run again.
	Harmed
)

// splats are how lines begin, or what they have in them where within is set.
var splats = [...]struct {
	text   string
	within bool
	splat  Splat
}{
	{text: "WARNING: ", splat: Warned},
	{text: "UBSAN: ", splat: Warned},
	{text: "BUG: KASAN: ", splat: Warned},
	{text: "BUG: KFENCE: ", splat: Warned},
	{text: "BUG: KMSAN: ", splat: Warned},
	{text: "BUG: KCSAN: ", splat: Warned},
	{text: "BUG: sleeping function called from invalid context", splat: Warned},
	{text: "BUG: scheduling while atomic", splat: Warned},
	{text: "BUG: using ", splat: Warned}, // smp_processor_id() in preemptible code
	{text: "verifier bug: ", splat: Warned},
	{text: "BUG: ", splat: Harmed},
	{text: "watchdog: BUG: ", splat: Harmed},
	{text: "kernel BUG at ", splat: Harmed},
	{text: "Oops: ", splat: Harmed},
	{text: "Internal error: ", splat: Harmed},
	{text: "general protection fault", splat: Harmed},
	{text: "Kernel panic - ", splat: Harmed},
	{text: "Unable to handle kernel ", splat: Harmed},
	{text: "INFO: task ", splat: Harmed},
	{text: "rcu: INFO: ", splat: Harmed},
	{text: "self-detected stall on CPU", within: true, splat: Harmed},
	{text: "detected stalls on CPUs/tasks", within: true, splat: Harmed},
}

// SplatOf says what a line of the kernel's log is, without time and level in front of it.
func SplatOf(line string) Splat {
	for i := range splats {
		s := &splats[i]
		if strings.HasPrefix(line, s.text) || s.within && strings.Contains(line, s.text) {
			return s.splat
		}
	}
	return Sound
}

// Heard returns what the oracles of names object to in events, nil where that is nothing.
// Harmed says that the kernel may be.
func (j *Judge) Heard(events []corpus.Event) (f *Failure, harmed bool) {
	if j == nil || len(events) == 0 {
		return nil, false
	}
	out := &corpus.Outcome{Have: corpus.HaveEvents, Events: events}
	for i := range events {
		harmed = harmed || events[i].Source == SourceLog && SplatOf(events[i].Text) == Harmed
	}
	for i := range j.oracles {
		if o := &j.oracles[i]; o.Need == corpus.HaveEvents && f == nil {
			if err := o.Judge(nil, out); err != nil {
				f = &Failure{Oracle: o.Name, Err: err}
			}
		}
	}
	return f, harmed
}

// newKernelSplat objects to what the kernel logs when something is wrong with it.
func newKernelSplat(*corpus.Shape) Oracle {
	return Oracle{
		Name: KernelSplat, Need: corpus.HaveEvents, When: Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Events {
				if e := &out.Events[i]; e.Source == SourceLog && SplatOf(e.Text) != Sound {
					return fmt.Errorf("the kernel logged %q", e.Text)
				}
			}
			return nil
		},
	}
}

// newStderr objects to text on the program's error stream, where the kernel says that it
// stopped a loop or that an address had no page, and programs what they choose to.
func newStderr(*corpus.Shape) Oracle {
	return Oracle{
		Name: Stderr, Need: corpus.HaveEvents, When: Sampled,
		Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Events {
				if e := &out.Events[i]; e.Source == SourceStderr {
					return fmt.Errorf("the program's error stream says %q", e.Text)
				}
			}
			return nil
		},
	}
}
