package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run leaves nothing behind in its process that the next one would find: the process has
// as many descriptors, programs, maps, links and namespaces after each run as after the
// first. The garbage collector, which closes what is forgotten, is off.
func TestRunsLeaveNothingBehind(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for name, subject := range map[string][]string{
		"findings": {"testdata/planted.o"},
		"clean":    {"testdata/clean.o"},
		"maps":     {"-c", "../../examples/firewall/target.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			var first footprint
			for i := range 3 {
				dir := t.TempDir()
				args := append([]string{"run", "-o", dir, "-j", "2", "--seed", strconv.Itoa(i + 1), "--execs", "20000", "--no-tui"}, subject...)
				var said strings.Builder
				if code := run(args, io.Discard, &said); code == exitError {
					t.Fatalf("exit code %d: %s", code, &said)
				}
				now, _ := footprintOf(t, os.Getpid())
				now.rss = 0 // it only grows while nothing is collected
				if i == 0 {
					first = now
				}
				if now != first {
					t.Errorf("after run %d there are %s, after the first %s", i+1, now, first)
				}
			}
		})
	}
}

// soakFor is set to how long TestSoak takes, such as 10m; make soak does so.
const soakFor = "BPFFUZZ_SOAK"

// footprint is what a process holds at a moment.
type footprint struct {
	files, programs, maps, links, namespaces int
	rss                                      int // KiB
}

func (s footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d programs, %d maps, %d links, %d namespaces, %d MiB", s.files, s.programs, s.maps, s.links, s.namespaces, s.rss>>10)
}

// peak is the most of each.
func (s footprint) peak(o footprint) footprint {
	return footprint{
		max(s.files, o.files), max(s.programs, o.programs), max(s.maps, o.maps), max(s.links, o.links), max(s.namespaces, o.namespaces),
		max(s.rss, o.rss),
	}
}

var residentKiB = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// footprintOf reads what the process holds from the kernel; false once it ended.
func footprintOf(t *testing.T, pid int) (footprint, bool) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return footprint{}, false
	}
	status, err := os.ReadFile(proc + "/status")
	m := residentKiB.FindSubmatch(status)
	if err != nil || m == nil {
		return footprint{}, false // a zombie has no memory
	}
	rss, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	h := holding(t, pid)
	return footprint{len(files), distinct(h.programs), distinct(h.maps), distinct(h.links), len(h.namespaces), rss}, true
}

func distinct[T comparable](all []T) int {
	seen := map[T]bool{}
	for _, one := range all {
		seen[one] = true
	}
	return len(seen)
}

// A campaign holds no more of the machine after many turns than after the first ones. Its
// turns are a second long, so that programs, maps and namespaces are made and thrown away
// as often as in a night of turns of a minute each.
func TestSoak(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	text := os.Getenv(soakFor)
	if text == "" {
		t.Skip("takes as long as " + soakFor + " says: make soak sets it")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := fmt.Sprintf("output: out\nduration: 24h\nturn: 1s\nworkers: 2\ntargets:\n  - object: %s\n  - object: %s\n  - config: %s\n",
		abs(t, "testdata/planted.o"), abs(t, "testdata/clean.o"), abs(t, "../../examples/firewall/target.yaml"))
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, "bpffuzz", "campaign", "--seed", "3", "c.yaml")
	go func() {
		for r.lines.Scan() { // so that the process is not held up
		}
	}()
	// Peaks of quarters are compared: what is held goes up and down within a turn.
	var quarters [4]footprint
	began := time.Now()
	for poll := time.NewTicker(20 * time.Millisecond); ; <-poll.C {
		q := int(4 * time.Since(began) / long)
		if q >= len(quarters) {
			break
		}
		now, ok := footprintOf(t, r.cmd.Process.Pid)
		if !ok {
			t.Fatal("the campaign ended")
		}
		quarters[q] = quarters[q].peak(now)
	}
	for i, q := range quarters {
		t.Logf("quarter %d: at most %s", i+1, q)
	}
	early, late := quarters[0].peak(quarters[1]), quarters[2].peak(quarters[3])
	if early.programs < 4 || early.maps < 4 || early.files < 20 {
		t.Errorf("it held at most %s: this test looks in the wrong place", early)
	}
	r.signal(syscall.SIGINT)
	if err := r.cmd.Wait(); r.cmd.ProcessState.ExitCode() != exitFindings {
		t.Errorf("the campaign ended with %v, want exit code %d", err, exitFindings)
	}
	checkGrowth(t, early, late)
}

// checkGrowth allows for what two targets hold at once when both trace a finding, and for
// what the garbage collector has not looked at yet.
func checkGrowth(t *testing.T, early, late footprint) {
	t.Helper()
	const (
		objects = 1.25
		memory  = 1.5
	)
	for _, one := range []struct {
		what         string
		early, late  int
		most, beyond float64
	}{
		{"descriptors", early.files, late.files, objects, 8},
		{"programs", early.programs, late.programs, objects, 4},
		{"maps", early.maps, late.maps, objects, 4},
		{"links", early.links, late.links, objects, 2},
		{"namespaces", early.namespaces, late.namespaces, objects, 2},
		{"KiB of memory", early.rss, late.rss, memory, 32 << 10},
	} {
		if float64(one.late) > one.most*float64(one.early)+one.beyond {
			t.Errorf("%d %s later on, %d before", one.late, one.what, one.early)
		}
	}
}
