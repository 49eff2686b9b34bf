package verifier

import "strings"

// anomalies are the words with which the verifier says that its own state contradicts
// itself: a defect of the kernel, whatever the program is.
var anomalies = [...]string{
	"verifier bug", "verifier internal error", "REG INVARIANTS VIOLATION", "BUG regs ", "kernel subsystem misconfigured verifier",
	"WARNING: kernel/bpf/verifier.c",
}

// IsAnomaly reports whether a line of a verifier's log, or of the kernel's, says that
// the verifier contradicts itself.
func IsAnomaly(line string) bool {
	for _, words := range anomalies {
		if strings.Contains(line, words) {
			return true
		}
	}
	// "WARNING: CPU: 1 PID: 7 at kernel/bpf/verifier.c:2731", as older kernels have it
	return strings.Contains(line, "WARNING: ") && strings.Contains(line, " at kernel/bpf/verifier.c:")
}

// maxDecisive bounds the lines that Decisive returns.
const maxDecisive = 8

// Decisive returns the end of the log of a program that was rejected: from the last
// source line on, as far as that is near, to the reason, which is the last of them. What
// verification cost is left out.
func Decisive(log []string) []string {
	end := len(log)
	for end > 0 && (strings.TrimSpace(log[end-1]) == "" || isCost(log[end-1])) {
		end--
	}
	for from := end - 1; from >= 0 && end-from <= maxDecisive; from-- {
		if strings.HasPrefix(log[from], ";") {
			return log[from:end]
		}
	}
	return log[max(end-maxDecisive, 0):end]
}

func isCost(line string) bool {
	return strings.HasPrefix(line, "processed ") || strings.HasPrefix(line, "verification time ") || strings.HasPrefix(line, "stack depth ")
}
