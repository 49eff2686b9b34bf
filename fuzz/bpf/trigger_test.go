package bpf

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	events "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/trigger"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// triggerExamples have a program with a planted bug for each way to attach that has
// a trigger.
func triggerExamples() []struct{ file, program string } {
	return []struct{ file, program string }{
		{"sock_ops", "service"},
		{"lwt_seg6local", "end"},
		{"sk_skb", "parser"},
		{"sk_skb", "verdict"},
		{"sk_msg", "route"},
		{"sk_reuseport", "choose"},
		{"sock_addr", "connect4"},
		{"sock_addr", "connect6"},
		{"sock_addr", "bind4"},
		{"sock_addr", "bind6"},
		{"sock_addr", "sendmsg4"},
		{"sock_addr", "sendmsg6"},
		{"sock_addr", "recvmsg4"},
		{"sock_addr", "recvmsg6"},
		{"sock_addr", "getpeername4"},
		{"sock_addr", "getpeername6"},
		{"sock_addr", "getsockname4"},
		{"sock_addr", "getsockname6"},
		{"sock", "create"},
		{"sock", "release"},
		{"sock", "post_bind4"},
		{"sock", "post_bind6"},
	}
}

// needEvent skips a test where the kernel lacks what the event takes.
func needEvent(t testing.TB, file string) {
	t.Helper()
	needKernel(t)
	switch file {
	case "sock_ops", "sock_addr", "sock":
		if text, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(text), "cgroup2") {
			t.Skip("needs a kernel with cgroup v2")
		}
	case "lwt_seg6local":
		for _, path := range []string{"/dev/net/tun", "/proc/sys/net/ipv6/conf/all/seg6_enabled"} {
			if _, err := os.Stat(path); err != nil {
				t.Skipf("needs a kernel with TUN devices and SRv6: %v", err)
			}
		}
	}
}

func newTriggerExample(t testing.TB, file, program string) *Target {
	t.Helper()
	needEvent(t, file)
	obj, err := Open(filepath.Join("testdata/trigger", file+".o"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: program})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// Every type runs, and its planted bug is found behind what the event carries.
func TestTriggersFindPlantedBugs(t *testing.T) {
	for _, test := range triggerExamples() {
		t.Run(test.file+"/"+test.program, func(t *testing.T) {
			target := newTriggerExample(t, test.file, test.program)
			result, err := fuzz.Run(t.Context(), target, fuzz.Options{
				Seed: 1, Execs: 60_000, StopOnFinding: true,
				Seeds:  mutate.Seeds(target.Shape()),
				Judge:  triage.NewJudge([]triage.Oracle{bugReached()}, nil),
				Triage: triage.Options{Program: test.program, Table: target.Table(), Shape: target.Shape()},
				Warn:   func(err error) { t.Log(err) },
			})
			if err != nil {
				t.Fatal(err)
			}
			s := result.Stats
			t.Logf("%s ran %d times, %.0f/s, %d of %d edges: %s", target.Shape().Type,
				s.Execs, float64(s.Execs)/s.Elapsed.Seconds(), s.Edges, s.Total, s.Executor)
			if len(result.Findings) == 0 {
				t.Errorf("the planted bug was not found by %d events", s.Execs)
			}
		})
	}
}

// Every way to attach that has a trigger has an example.
func TestEveryTriggerHasAnExample(t *testing.T) {
	type way struct {
		typ    ebpf.ProgramType
		attach ebpf.AttachType
	}
	covered := map[way]bool{}
	for _, test := range triggerExamples() {
		spec, err := ebpf.LoadCollectionSpec(filepath.Join("testdata/trigger", test.file+".o"))
		if err != nil {
			t.Fatal(err)
		}
		p := spec.Programs[test.program]
		if p == nil {
			t.Fatalf("%s has no program %s", test.file, test.program)
		}
		covered[way{p.Type, p.AttachType}] = true
	}
	for typ := ebpf.ProgramType(1); typ < 64; typ++ {
		for attach := ebpf.AttachType(0); attach < 96; attach++ {
			kind, err := events.For(typ, attach)
			if err != nil {
				continue
			}
			one := strings.HasPrefix(kind.Name, "cgroup_")
			found := covered[way{typ, attach}] || !one && slices.ContainsFunc(triggerExamples(), func(e struct{ file, program string }) bool { return e.file == kind.Name })
			if !found {
				t.Errorf("%s attached as %s has a trigger and no example", typ, attach)
			}
		}
	}
}

// openFiles counts the process's open files.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// threadCgroup returns the thread's cgroup of version 2.
func threadCgroup(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "0::") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// Closing an executor gives back links, cgroups, devices and sockets.
func TestTriggersGiveEverythingBack(t *testing.T) {
	for _, test := range triggerExamples() {
		t.Run(test.file+"/"+test.program, func(t *testing.T) {
			target := newTriggerExample(t, test.file, test.program)
			seeds := mutate.Seeds(target.Shape())
			err := kernel.Isolated(0, func() error {
				once := func() error {
					exec, err := target.NewExecutor(0)
					if err != nil {
						return err
					}
					for _, in := range seeds[:min(len(seeds), 8)] {
						if _, err := exec.Alone(t.Context(), in, corpus.HaveTrace|corpus.HaveMaps); err != nil {
							return err
						}
					}
					if err := exec.Recreate(t.Context()); err != nil {
						return err
					}
					return exec.Close()
				}
				if err := once(); err != nil { // what the libraries keep, they keep once
					return err
				}
				files, cgroup := openFiles(t), threadCgroup(t)
				if err := once(); err != nil {
					return err
				}
				if now := openFiles(t); now != files {
					t.Errorf("%d open files, %d before", now, files)
				}
				if now := threadCgroup(t); now != cgroup || strings.Contains(now, "bpffuzz") {
					t.Errorf("the thread is in cgroup %q, it was in %q", now, cgroup)
				}
				links, err := netlink.LinkList()
				if err != nil {
					return err
				}
				if len(links) != 1 {
					t.Errorf("%d interfaces are left, want loopback alone", len(links))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The same event has the same outcome.
func TestTriggersAreDeterministic(t *testing.T) {
	for _, test := range triggerExamples() {
		t.Run(test.file+"/"+test.program, func(t *testing.T) {
			target := newTriggerExample(t, test.file, test.program)
			result, err := fuzz.Run(t.Context(), target, fuzz.Options{
				Seed: 2, Execs: 2_000, Sample: 20, Seeds: mutate.Seeds(target.Shape()),
				Judge:  judgeOf(t, target),
				Triage: triage.Options{Program: test.program, Table: target.Table(), Shape: target.Shape()},
				Warn:   func(err error) { t.Log(err) },
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range result.Findings {
				if f.Oracle == "nondeterministic" {
					t.Errorf("%s: %s: packet %x, context %x", f.Key, f.Oracle, f.Input.Steps[0].Packet, f.Input.Steps[0].Context)
				}
			}
			if result.Stats.Stability < 1 {
				t.Errorf("stability %.3f", result.Stats.Stability)
			}
		})
	}
}

// A run that is over causes no more events, and does not take them for harmless.
func TestTriggersStop(t *testing.T) {
	target := newTriggerExample(t, "sk_msg", "route")
	err := kernel.Isolated(0, func() error {
		exec, err := target.NewExecutor(0)
		if err != nil {
			return err
		}
		in := exec.Batch().Next()
		in.Grow()
		exec.Batch().Commit()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := exec.Run(ctx); err != nil {
			return err
		}
		if errno := exec.Batch().Outcomes()[0].Errno; errno != unix.ENODATA {
			t.Errorf("an event that did not take place has errno %v, want ENODATA", errno)
		}
		return exec.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func judgeOf(t *testing.T, target *Target) *triage.Judge {
	t.Helper()
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return triage.NewJudge(oracles, relations)
}
