package bpf

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// EnableStatistics makes the kernel count runs and run time of all programs until
// what it returns is closed. It costs each run of a program some tens of nanoseconds.
func EnableStatistics() (io.Closer, error) {
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("counting runs of programs: %w%s", err, needs(err, "CAP_SYS_ADMIN"))
	}
	return c, nil
}

// Describe asks the kernel about the program, and looks for the processes that use
// it besides this one.
func (l *Loaded) Describe() (*LoadedProgram, error) {
	p, err := describeLoaded(l.prog)
	if err != nil {
		return nil, err
	}
	for _, user := range programUsers()[p.ID] {
		if user.PID != unix.Getpid() {
			p.Users = append(p.Users, user)
		}
	}
	return p, nil
}
