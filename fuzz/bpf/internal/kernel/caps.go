package kernel

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is a privilege that some part of the work needs.
type Capability struct {
	Name string
	Bit  uint
	// For says what it is needed for.
	For string
}

// Capabilities lists what fuzzing needs, the most telling first.
func Capabilities() []Capability {
	return []Capability{
		{"CAP_BPF", unix.CAP_BPF, "loading programs and maps"},
		{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "running network programs"},
		{"CAP_PERFMON", unix.CAP_PERFMON, "instrumenting programs"},
		{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, "private network namespaces"},
	}
}

// Missing returns the capabilities of the list that this thread does not have. It returns none
// when they cannot be read.
func Missing() []Capability {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil
	}
	have := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	var missing []Capability
	for _, c := range Capabilities() {
		if have&(1<<c.Bit) == 0 {
			missing = append(missing, c)
		}
	}
	return missing
}

// Explain returns "; missing CAP_BPF, CAP_NET_ADMIN: run as root ..." for an error that says that
// something is not permitted while capabilities are missing, "" otherwise.
func Explain(err error) string {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return ""
	}
	var names []string
	for _, c := range Missing() {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return "; missing " + strings.Join(names, ", ") + ": run as root or grant them"
}

// missing is Explain with a capability to name when all are there.
func missing(err error, name string) string {
	if text := Explain(err); text != "" {
		return text
	}
	return "; it needs " + name
}
