package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// held is what a process holds of the kernel, by number.
type held struct {
	programs []ebpf.ProgramID
	maps     []ebpf.MapID
	links    []link.ID
	// namespaces are those of its threads that are not the test's own.
	namespaces []string
}

var heldNumber = regexp.MustCompile(`(?m)^(prog_id|map_id|link_id):\s+(\d+)$`)

// holding reads what the process holds at the moment. A link's descriptor tells its
// program as well, which is the process's own.
func holding(t *testing.T, pid int) (h held) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	infos, _ := filepath.Glob(proc + "/fdinfo/*")
	for _, path := range infos {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // closed in the meantime
		}
		for _, m := range heldNumber.FindAllSubmatch(b, -1) {
			n, err := strconv.ParseUint(string(m[2]), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			switch string(m[1]) {
			case "prog_id":
				h.programs = append(h.programs, ebpf.ProgramID(n))
			case "map_id":
				h.maps = append(h.maps, ebpf.MapID(n))
			case "link_id":
				h.links = append(h.links, link.ID(n))
			}
		}
	}
	h.namespaces = namespacesOf(proc+"/task/*/ns/net", t)
	return h
}

// namespacesOf returns the network namespaces that links of /proc lead to, without
// the test's own.
func namespacesOf(pattern string, t *testing.T) (all []string) {
	t.Helper()
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob(pattern)
	for _, path := range paths {
		if ns, err := os.Readlink(path); err == nil && ns != own && !slices.Contains(all, ns) {
			all = append(all, ns)
		}
	}
	return all
}

// left counts what the kernel still has of it.
func (h *held) left(t *testing.T) (n int) {
	t.Helper()
	gone := func(err error) bool {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return err != nil
	}
	for _, id := range h.programs {
		if p, err := ebpf.NewProgramFromID(id); !gone(err) {
			n++
			p.Close()
		}
	}
	for _, id := range h.maps {
		if m, err := ebpf.NewMapFromID(id); !gone(err) {
			n++
			m.Close()
		}
	}
	for _, id := range h.links {
		if l, err := link.NewFromID(id); !gone(err) {
			n++
			l.Close()
		}
	}
	for _, ns := range namespacesOf("/proc/[0-9]*/task/*/ns/net", t) {
		if slices.Contains(h.namespaces, ns) {
			n++
		}
	}
	return n
}

// However the command ends, the kernel has nothing of it afterwards. What it had is
// known by number, and numbers are not used again soon.
func TestNothingIsLeftOfTheCommand(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	for name, end := range map[string]func(r *running){
		"enough executions": func(*running) {},
		"SIGINT":            func(r *running) { r.signal(syscall.SIGINT) },
		"SIGINT twice": func(r *running) {
			r.signal(syscall.SIGINT)
			r.signal(syscall.SIGINT)
		},
		"SIGKILL": func(r *running) { r.signal(syscall.SIGKILL) },
		"output directory gone": func(r *running) {
			// In one step: the command is writing files into it.
			out := filepath.Join(r.cmd.Dir, "out")
			if err := os.Rename(out, out+".gone"); err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"run", "-o", "out", "-j", "2", "--seed", "3", abs(t, "testdata/planted.o")}
			if name == "enough executions" {
				args = append(args, "--execs", "3000000")
			}
			r := start(t, t.TempDir(), "bpffuzz", args...)
			// The first finding comes when all programs are loaded, those of traces included.
			r.until(func() bool { return len(r.findings) >= 1 })
			h := holding(t, r.cmd.Process.Pid)
			if len(h.programs) < 4 || len(h.maps) < 4 || len(h.links) < 1 || len(h.namespaces) < 1 {
				t.Errorf("the running command holds %+v: this test looks in the wrong place", h)
			}
			if h.left(t) == 0 {
				t.Error("the kernel has nothing of a running command: this test looks for the wrong numbers")
			}
			end(r)
			r.end()
			// Programs and maps are freed after a grace period, namespaces in the background.
			for tries := 0; h.left(t) > 0; tries++ {
				if tries == 10_000 {
					t.Fatalf("%d of %+v are left", h.left(t), h)
				}
				runtime.Gosched()
			}
		})
	}
}
