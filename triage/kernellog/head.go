package kernellog

import "strings"

// Harm is what a complaint says of the kernel's health.
type Harm uint8

const (
	// Sound is a kernel that complains of nothing.
	Sound Harm = iota
	// Warned is a kernel that noticed something wrong and goes on as before.
	Warned
	// Harmed is a kernel that may have lost a task, a lock or memory: what led to it is not
	// run again.
	Harmed
)

// Kinds of complaints.
const (
	KindWarning      = "warning"
	KindVerifier     = "verifier bug"
	KindUBSAN        = "UBSAN report"
	KindKASAN        = "KASAN report"
	KindKFENCE       = "KFENCE report"
	KindKMSAN        = "KMSAN report"
	KindKCSAN        = "KCSAN report"
	KindLockdep      = "lockdep report"
	KindAtomic       = "sleep in atomic context"
	KindPreemptible  = "per-CPU access while preemptible"
	KindBug          = "bug"
	KindOops         = "oops"
	KindPanic        = "panic"
	KindHung         = "hung task"
	KindSoftLockup   = "soft lockup"
	KindHardLockup   = "hard lockup"
	KindStall        = "RCU stall"
	KindWorkqueue    = "workqueue lockup"
	KindBadPageState = "bad page state"
)

// head is how the line begins, or what it has in it where within is set, that says what is
// wrong.
type head struct {
	text   string
	within bool
	kind   string
	harm   Harm
	// follows says that the line may be one of an older complaint, as that an oops is behind
	// the reason for it.
	follows bool
}

// heads are asked in this order.
var heads = [...]head{
	{text: "WARNING: possible ", kind: KindLockdep, harm: Warned},
	{text: "WARNING: suspicious RCU usage", kind: KindLockdep, harm: Warned},
	{text: "WARNING: inconsistent lock state", kind: KindLockdep, harm: Warned},
	{text: "WARNING: bad unlock balance", kind: KindLockdep, harm: Warned},
	{text: "BUG: Invalid wait context", kind: KindLockdep, harm: Warned},
	{text: "[ BUG: Invalid wait context", kind: KindLockdep, harm: Warned},
	{text: "WARNING: ", kind: KindWarning, harm: Warned},
	{text: "verifier bug: ", kind: KindVerifier, harm: Warned},
	{text: "verifier internal error", kind: KindVerifier, harm: Warned},
	{text: "UBSAN: ", kind: KindUBSAN, harm: Warned},
	{text: "BUG: KASAN: ", kind: KindKASAN, harm: Warned},
	{text: "BUG: KFENCE: ", kind: KindKFENCE, harm: Warned},
	{text: "BUG: KMSAN: ", kind: KindKMSAN, harm: Warned},
	{text: "BUG: KCSAN: ", kind: KindKCSAN, harm: Warned},
	{text: "BUG: sleeping function called from invalid context", kind: KindAtomic, harm: Warned},
	{text: "BUG: scheduling while atomic", kind: KindAtomic, harm: Warned},
	{text: "BUG: using ", kind: KindPreemptible, harm: Warned}, // smp_processor_id() in preemptible code
	{text: "BUG: workqueue lockup", kind: KindWorkqueue, harm: Harmed},
	{text: "BUG: Bad page ", kind: KindBadPageState, harm: Harmed},
	{text: "BUG: ", kind: KindBug, harm: Harmed},
	{text: "watchdog: BUG: soft lockup", kind: KindSoftLockup, harm: Harmed},
	{text: "Watchdog detected hard LOCKUP", within: true, kind: KindHardLockup, harm: Harmed},
	{text: "watchdog: BUG: ", kind: KindBug, harm: Harmed},
	{text: "kernel BUG at ", kind: KindBug, harm: Harmed},
	{text: "Oops: ", kind: KindOops, harm: Harmed, follows: true},
	{text: "Internal error: ", kind: KindOops, harm: Harmed, follows: true},
	{text: "general protection fault", kind: KindOops, harm: Harmed},
	{text: ": 0000 [#", within: true, kind: KindOops, harm: Harmed, follows: true}, // "invalid opcode: 0000 [#1] PREEMPT"
	{text: "Kernel panic - ", kind: KindPanic, harm: Harmed},
	{text: "Unable to handle kernel ", kind: KindBug, harm: Harmed},
	{text: "INFO: task ", kind: KindHung, harm: Harmed},
	{text: "rcu: INFO: ", kind: KindStall, harm: Harmed},
	{text: "self-detected stall on CPU", within: true, kind: KindStall, harm: Harmed},
	{text: "detected stalls on CPUs/tasks", within: true, kind: KindStall, harm: Harmed},
}

// headOf returns what a line complains of; nil where that is nothing.
func headOf(line string) *head {
	if line == "" || line[0] == ' ' || line[0] == '\t' {
		return nil
	}
	for i := range heads {
		h := &heads[i]
		if strings.HasPrefix(line, h.text) || h.within && strings.Contains(line, h.text) {
			return h
		}
	}
	return nil
}

// HarmOf says what a single line of the kernel means for its health.
func HarmOf(line string) Harm {
	if h := headOf(line); h != nil {
		return h.harm
	}
	return Sound
}
