package bpf

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// programUsers finds the processes that hold programs, by the programs' ids. It
// finds those that the caller may look into: all of them as root.
func programUsers() map[uint32][]ProgramUser {
	users := map[uint32][]ProgramUser{}
	pids, _ := os.ReadDir("/proc")
	for _, e := range pids {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		for _, id := range programsOf(pid) {
			users[id] = append(users[id], ProgramUser{pid, commOf(pid)})
		}
	}
	for id := range users {
		slices.SortFunc(users[id], func(a, b ProgramUser) int { return a.PID - b.PID })
	}
	return users
}

// programsOf lists the programs that a process has file descriptors of, each once.
func programsOf(pid int) []uint32 {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil // it has ended, or is none of the caller's business
	}
	var ids []uint32
	for _, fd := range fds {
		kind, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err != nil || !strings.HasPrefix(kind, "anon_inode:") || !strings.Contains(kind, "bpf") {
			continue
		}
		if id, ok := fdinfo(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd.Name()), "prog_id"); ok && !slices.Contains(ids, uint32(id)) {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

// fdinfo reads a number from what the kernel says of a file descriptor.
func fdinfo(path, key string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name == key {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// memlockOf returns the memory accounted to what a file descriptor stands for.
func memlockOf(fd int) uint64 {
	n, _ := fdinfo(fmt.Sprintf("/proc/thread-self/fdinfo/%d", fd), "memlock")
	return n
}

func commOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
