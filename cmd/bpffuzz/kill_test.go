package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// running is a command that was started, and what it said so far.
type running struct {
	t        *testing.T
	cmd      *exec.Cmd
	stdout   strings.Builder
	lines    *bufio.Scanner
	findings []string // directories that were announced
	progress int      // lines
	again    bool     // inputs that were in flight ran again
	edges    []int    // as each progress line gives them
	// dashboard is where it is, "" unless it was announced.
	dashboard string
}

// start runs the command in dir: the test's own executable, which TestMain makes
// act as the command of the given name.
func start(t *testing.T, dir, name string, args ...string) *running {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, cmd: exec.Command(exe, args...)}
	r.cmd.Args[0], r.cmd.Dir, r.cmd.Stdout = name, dir, &r.stdout
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.lines = bufio.NewScanner(stderr)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
	return r
}

var (
	announced = regexp.MustCompile(`^bpffuzz:   written to (.+)$`)
	ranAgain  = regexp.MustCompile(`^bpffuzz: ran again what was in flight: inputs: [0-9]+, failing: [0-9]+$`)
	elapsed   = regexp.MustCompile(`^bpffuzz: elapsed: .* edges: ([0-9]+)/`)
)

// until reads lines until done says so. It is a failure if the command ends first.
func (r *running) until(done func() bool) {
	r.t.Helper()
	for !done() {
		if !r.read() {
			r.t.Fatalf("the command ended too early: %v", r.cmd.Wait())
		}
	}
}

func (r *running) read() bool {
	if !r.lines.Scan() {
		return false
	}
	line := r.lines.Text()
	r.t.Log(line)
	if m := announced.FindStringSubmatch(line); m != nil {
		r.findings = append(r.findings, m[1])
	}
	if m := dashboardAt.FindStringSubmatch(line); m != nil {
		r.dashboard = m[1]
	}
	r.again = r.again || ranAgain.MatchString(line)
	if m := elapsed.FindStringSubmatch(line); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			r.t.Fatal(err)
		}
		r.progress++
		r.edges = append(r.edges, n)
	}
	return true
}

// end reads what is left and returns how the command ended.
func (r *running) end() *os.ProcessState {
	for r.read() {
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.cmd.ProcessState
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// entries counts the files of the corpus; it waits for as many as n.
func waitForEntries(t *testing.T, dir string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for poll := time.NewTicker(time.Millisecond); ; {
		names, _ := filepath.Glob(filepath.Join(dir, "out/corpus/[0-9a-f]*"))
		if len(names) >= n {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%d corpus entries, waited for %d", len(names), n)
		}
	}
}

// The process may be killed at any moment: what it announced is there, whole, and
// the next run takes it up.
func TestKilledRunLosesNothing(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	firewall := []string{"-c", abs(t, "../../examples/firewall/target.yaml")}
	planted := []string{abs(t, "testdata/planted.o")}
	for name, test := range map[string]struct {
		subject []string
		until   func(t *testing.T, dir string, r *running)
		edges   int // progress line whose edges the next run has at least
	}{
		"first entry":    {firewall, func(t *testing.T, dir string, _ *running) { waitForEntries(t, dir, 1) }, 0},
		"tenth entry":    {firewall, func(t *testing.T, dir string, _ *running) { waitForEntries(t, dir, 10) }, 0},
		"fiftieth entry": {firewall, func(t *testing.T, dir string, _ *running) { waitForEntries(t, dir, 50) }, 0},
		"first finding":  {planted, func(_ *testing.T, _ string, r *running) { r.until(func() bool { return len(r.findings) >= 1 }) }, 0},
		"third finding":  {planted, func(_ *testing.T, _ string, r *running) { r.until(func() bool { return len(r.findings) >= 3 }) }, 0},
		// Entries are stored within the three seconds until the next line.
		"second progress line": {firewall, func(_ *testing.T, _ string, r *running) { r.until(func() bool { return r.progress >= 2 }) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := start(t, dir, "bpffuzz", append([]string{"run", "-o", "out", "-j", "2", "--seed", "3"}, test.subject...)...)
			test.until(t, dir, r)
			r.signal(syscall.SIGKILL)
			if state := r.end(); !state.Sys().(syscall.WaitStatus).Signaled() {
				t.Fatalf("the run ended by itself: %v", state)
			}
			checkStored(t, dir, r)
			checkResumed(t, dir, r, test.subject, test.edges)
			if _, err := os.Stat(filepath.Join(dir, "out/journal")); !os.IsNotExist(err) {
				t.Errorf("the journal is still there after a run that ended in order: %v", err)
			}
		})
	}
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkStored looks for everything that a run announced, and for files that are
// not whole.
func checkStored(t *testing.T, dir string, r *running) {
	t.Helper()
	for _, path := range r.findings {
		if _, err := corpus.ReadFile(filepath.Join(dir, path, "input")); err != nil {
			t.Errorf("finding %s: %v", path, err)
		}
		var report map[string]any
		b, err := os.ReadFile(filepath.Join(dir, path, "report.json"))
		if err == nil {
			err = json.Unmarshal(b, &report)
		}
		if err != nil {
			t.Errorf("finding %s: %v", path, err)
		}
	}
	stored, err := corpus.OpenDir(filepath.Join(dir, "out/corpus"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stored.Load(t.Context(), func(*corpus.Input) {}, func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
}

// checkResumed starts a run on the directory that another one left.
func checkResumed(t *testing.T, dir string, killed *running, subject []string, line int) {
	t.Helper()
	inFlight, err := filepath.Glob(filepath.Join(dir, "out/journal/worker-*"))
	if err != nil || len(inFlight) == 0 {
		t.Errorf("the killed run left the journals %v: %v", inFlight, err)
	}
	next := start(t, dir, "bpffuzz", append([]string{"run", "-o", "out", "-j", "1", "--execs", "1", "--json"}, subject...)...)
	if code := next.end().ExitCode(); code != exitClean && code != exitFindings {
		t.Fatalf("the next run ends with %d", code)
	}
	if !next.again {
		t.Error("the next run does not say what came of the inputs in flight")
	}
	var s summary
	if err := json.Unmarshal([]byte(next.stdout.String()), &s); err != nil {
		t.Fatalf("%v in %q", err, next.stdout.String())
	}
	if line > 0 && s.Edges < killed.edges[line-1] {
		t.Errorf("the next run starts with %d edges, the killed one had %d", s.Edges, killed.edges[line-1])
	}
	known := map[string]bool{}
	for _, f := range s.Findings {
		known[f.Path] = true
	}
	for _, path := range killed.findings {
		if !known[path] {
			t.Errorf("the next run does not know finding %s", path)
		}
	}
}

// A first SIGINT ends a run in order, with its summary.
func TestInterruptedRunEndsInOrder(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	for name, s := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := start(t, dir, "bpffuzz", "run", "-o", "out", "-j", "2", "--seed", "3", "--json", abs(t, "testdata/planted.o"))
			r.until(func() bool { return len(r.findings) >= 1 })
			r.signal(s)
			if code := r.end().ExitCode(); code != exitFindings {
				t.Errorf("exit code %d, want %d", code, exitFindings)
			}
			var sum summary
			if err := json.Unmarshal([]byte(r.stdout.String()), &sum); err != nil {
				t.Fatalf("%v in %q", err, r.stdout.String())
			}
			if sum.Saved < 1 || r.progress == 0 {
				t.Errorf("%d findings in the summary, %d progress lines", sum.Saved, r.progress)
			}
			checkStored(t, dir, r)
			entries, err := filepath.Glob(filepath.Join(dir, "out/corpus/*"))
			if err != nil || len(entries) != sum.Corpus {
				t.Errorf("%d corpus files, the summary has %d: %v", len(entries), sum.Corpus, err)
			}
		})
	}
}

// A second SIGINT ends the process at once, whatever it is doing.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	r := start(t, t.TempDir(), "stubborn")
	r.until(func() bool { return strings.Contains(r.lines.Text(), "ready") })
	r.signal(syscall.SIGINT)
	r.until(func() bool { return strings.Contains(r.lines.Text(), "once more") })
	r.signal(syscall.SIGINT)
	if status := r.end().Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("the process ended with %v", status)
	}
}

// stubborn is a command that does not stop in order.
func stubborn() {
	u := &ui{stdout: io.Discard, stderr: os.Stderr}
	ctx, stop := onSignal(context.Background(), u)
	defer stop()
	u.say("ready")
	<-ctx.Done()
	select {}
}

// Of two processes on one directory the second is refused, with the number of the first.
func TestSecondRunIsRefused(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	dir := t.TempDir()
	first := start(t, dir, "bpffuzz", "run", "-o", "out", "-j", "1", "--seed", "3", abs(t, "testdata/planted.o"))
	first.until(func() bool { return len(first.findings) >= 1 })
	want := "output directory out is in use by process " + strconv.Itoa(first.cmd.Process.Pid) + ": "
	for name, args := range map[string][]string{
		"run":            {"run", "-o", "out", "--execs", "1", abs(t, "testdata/planted.o")},
		"findings known": {"findings", "--known", filepath.Base(first.findings[0]), "out"},
	} {
		t.Run(name, func(t *testing.T) {
			second := start(t, dir, "bpffuzz", args...)
			second.until(func() bool { return strings.Contains(second.lines.Text(), want) })
			if code := second.end().ExitCode(); code != exitError {
				t.Errorf("exit code %d, want %d", code, exitError)
			}
		})
	}
	first.signal(syscall.SIGINT)
	if code := first.end().ExitCode(); code != exitFindings {
		t.Errorf("the first run ends with %d", code)
	}
}
