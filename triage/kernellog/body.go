package kernellog

import "strings"

// Lines around complaints.
const (
	cutHere  = "------------[ cut here ]------------"
	endTrace = "---[ end trace"
)

// isSeparator reports whether a line is one of those of = around reports of KASAN, UBSAN
// and lockdep.
func isSeparator(line string) bool {
	return len(line) >= 16 && strings.Trim(line, "=") == ""
}

// bodies are how lines of a complaint begin. Those that begin with a space belong to one, too.
var bodies = [...]string{
	// What ran, and where.
	"CPU: ", "Hardware name: ", "Tainted: ", "Modules linked in:", "Workqueue: ", "Sending NMI ", "NMI backtrace for cpu ",
	"Call Trace:", "Call trace:", "---[ ", "Stack:", "irq event stamp: ", "hardirqs last ", "softirqs last ", "Kernel Offset: ",
	"Dumping ftrace buffer", "note: ", "Fixing recursive fault", "preempt_count: ", "RCU nest depth: ", "in_atomic(): ",
	"Preemption disabled at:", "caller is ", "INFO: lockdep is turned off",
	// Registers of x86 and of arm64.
	"RIP: ", "RSP: ", "RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "FS: ", "CS: ", "CR2: ", "DR0: ", "DR3: ", "PKRU: ", "Code: ", "ORIG_RAX: ",
	"pstate: ", "pc : ", "lr : ", "sp : ", "x29: ", "x26: ", "x23: ", "x20: ", "x17: ", "x14: ", "x11: ", "x8 : ", "x5 : ", "x2 : ",
	// Why an access failed.
	"#PF: ", "PGD ", "Mem abort info:", "Data abort info:", "user pgtable: ", "swapper pgtable: ", "KASAN: ",
	// KASAN and its kin.
	"Read of size ", "Write of size ", "Out-of-bounds ", "Use-after-free ", "Allocated by task ", "Freed by task ", "Last potentially related work creation",
	"Second to last potentially related work creation", "The buggy address ", "which belongs to ", "The buggy ", "page: ", "flags: ", "raw: ",
	"page dumped because: ", "Memory state around the buggy address", "Disabling lock debugging due to ", "kasan: ", "kfence-#",
	"page_type: ", "head: ", "allocated by task ", "freed by task ", "read to ", "write to ", "read (marked) to ", "value changed: ",
	"Reported by Kernel Concurrency Sanitizer", "Uninit was ", "Local variable ", "Byte", "Memory access of size ",
	// UBSAN.
	"shift exponent ", "index ", "signed integer overflow", "unsigned integer overflow", "load of ", "member access ", "left shift ", "division by zero", "load of value ",
	// Lockups, stalls and hung tasks.
	"rcu: \t", "rcu: rcu_", "rcu: Possible timer", "rcu: Unless ", "rcu: RCU grace-period kthread stack dump", "rcu: Stack dump where RCU GP kthread last ran",
	"task:", "\"echo 0 > ", "Future hung task reports are suppressed", "pool ", "Showing busy workqueues", "Showing backtraces of ", "workqueue ",
	"Showing all locks held in the system", "Kernel panic - not syncing: softlockup", "Mem-Info:",
	// Lockdep.
	"other info that might help us debug this", "but task is already holding lock:", "but there are no more locks to release", "which lock already depends on",
	"the existing dependency chain ", "-> #", "stack backtrace:", "rcu_scheduler_active = ", "inconsistent {", "-----", "2 locks held by", "1 lock held by",
	"3 locks held by", "no locks held by", "4 locks held by", "5 locks held by", "{",
}

// isBody reports whether a line may be one of a complaint behind its head.
func isBody(line string) bool {
	if line == "" || line[0] == ' ' || line[0] == '\t' || isSeparator(line) || isMemory(line) {
		return true
	}
	for _, begin := range bodies {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return strings.Contains(line, " is trying to acquire lock:") || strings.Contains(line, " takes:")
}

// isMemory reports whether a line is one of a dump, "ffff888104a3c080: 00 00 fc fc" or
// ">ffff...", or about a page table, "[ffff888104a3c080] pgd=".
func isMemory(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(line, ">["), "ffff")
}
