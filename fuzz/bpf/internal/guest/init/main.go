// Command init is the first process of a guest: it mounts what programs expect, runs
// the guest's program, writes how it ended and turns the machine off.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/guest"
)

// failed is the status where the program could not be started.
const failed = 127

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init turns the machine off and runs as the first process of a guest only")
		os.Exit(2)
	}
	status, err := run()
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("\n%s%d\n", guest.End, status)
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("turning the guest off:", err)
	}
}

func run() (status int, err error) {
	if err := mountAll(); err != nil {
		return failed, err
	}
	lines, err := os.ReadFile(guest.Arguments)
	if err != nil {
		return failed, err
	}
	cmd := exec.Command(guest.Program, strings.Split(string(lines), "\n")...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = guest.Directory, os.Stdout, os.Stderr
	cmd.Env = []string{"HOME=/tmp", "PATH=/", "TMPDIR=/tmp"}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return failed, fmt.Errorf("running the guest's program: %w", err)
	}
	return 0, nil
}

// mountAll mounts the kernel's file systems, outer ones first.
func mountAll() error {
	for _, m := range []struct{ kind, at string }{
		{"devtmpfs", "/dev"},
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"tmpfs", "/tmp"},
		{"bpf", "/sys/fs/bpf"},
		{"cgroup2", "/sys/fs/cgroup"},
		{"debugfs", "/sys/kernel/debug"},
		{"tracefs", "/sys/kernel/tracing"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", m.kind, m.at, err)
		}
	}
	return nil
}
