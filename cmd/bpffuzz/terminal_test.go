package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// terminal is a terminal of tmux with a shell in it.
type terminal struct {
	t           *testing.T
	socket, dir string
}

// newTerminal opens a terminal of width times height cells, in whose shell the command
// bpffuzz is the test's own executable. Its server is nobody else's.
func newTerminal(t *testing.T, width, height int, env ...string) *terminal {
	t.Helper()
	for _, name := range []string{"tmux", "bash", "stty"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The name of a socket is short, which those of t.TempDir are not.
	sockets, err := os.MkdirTemp("", "tmux")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"bpffuzz", "panicking"} {
		if err := os.Symlink(exe, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	term := &terminal{t: t, socket: filepath.Join(sockets, "s"), dir: dir}
	t.Cleanup(func() {
		_, _ = term.try("kill-server")
		os.RemoveAll(sockets)
	})
	shell := append([]string{"env", "PS1=$ ", "PATH=" + dir + ":" + os.Getenv("PATH")}, env...)
	args := append([]string{
		"-f", "/dev/null", "new-session", "-d", "-s", "test", "-c", dir,
		"-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "--",
	}, append(shell, "bash", "--norc", "--noprofile")...)
	term.run(args...)
	term.until(`\$$`)
	return term
}

func (x *terminal) try(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (x *terminal) run(args ...string) string {
	x.t.Helper()
	out, err := x.try(args...)
	if err != nil {
		x.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return out
}

// keys presses keys, by tmux's names.
func (x *terminal) keys(keys ...string) {
	x.t.Helper()
	x.run(append([]string{"send-keys", "-t", "test"}, keys...)...)
}

// line types a line.
func (x *terminal) line(text string) {
	x.t.Helper()
	x.run("send-keys", "-t", "test", "-l", text)
	x.keys("Enter")
}

// until waits for a text to be on the screen and returns all of it.
func (x *terminal) until(pattern string) string {
	x.t.Helper()
	want := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(x.t.Context(), 2*time.Minute)
	defer cancel()
	for poll := time.NewTicker(20 * time.Millisecond); ; {
		text := strings.TrimRight(x.run("capture-pane", "-p", "-t", "test"), "\n")
		if want.MatchString(text) {
			return text
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			x.t.Fatalf("%s is not on the screen:\n%s", pattern, text)
		}
	}
}

// show returns a variable of tmux.
func (x *terminal) show(format string) string {
	x.t.Helper()
	return strings.TrimSpace(x.run("display-message", "-p", "-t", "test", format))
}

// child returns the process that runs in the shell.
func (x *terminal) child() int {
	x.t.Helper()
	shell := x.show("#{pane_pid}")
	b, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", shell, shell))
	if err != nil {
		x.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		x.t.Fatalf("the shell has children %q", b)
	}
	return pid
}

// inOrder checks that the terminal is as a shell wants it.
func (x *terminal) inOrder() {
	x.t.Helper()
	x.line("clear; stty -a; echo checked")
	modes := x.until(`(?m)^checked$`)
	for _, mode := range []string{" icanon", " echo ", " isig", " icrnl", " opost"} {
		if !strings.Contains(strings.ReplaceAll(modes, "\n", " ")+" ", mode) {
			x.t.Errorf("the terminal is left without%s:\n%s", mode, modes)
		}
	}
	if got := x.show("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"); got != "0 1 0" {
		x.t.Errorf("alternate screen, cursor and mouse are %s, want 0 1 0", got)
	}
}

func planted(t *testing.T) string {
	t.Helper()
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	return "bpffuzz run -o out -j 1 --seed 3 " + abs(t, "testdata/planted.o")
}

func TestScreenOfARun(t *testing.T) {
	run := planted(t)
	x := newTerminal(t, 80, 24)
	x.line(run)
	text := x.until(`(?s)BLOCKED.*LAST FINDS.*TARGETS.*forgetful +running.*FINDINGS.*\(new\)`)
	if x.show("#{alternate_on}") != "1" {
		t.Errorf("the screen is not the alternate one:\n%s", text)
	}
	x.until(`(?m)^BLOCKED.*\n  objects\.c:[0-9]+ `) // the frontier was looked at
	x.keys("?")
	x.until(`ctrl-z +suspend`)
	x.keys("?")
	x.until("BLOCKED")
	x.keys("Enter")
	x.until(`(?s)replay it with:.*esc back`)
	x.keys("End")
	x.keys("Escape")
	x.until("BLOCKED")
	x.run("resize-window", "-t", "test", "-x", "46", "-y", "14")
	x.until(`(?s)TARGETS +EXECS/S +EDGES +FOUND\n.*q stop`)
	x.run("resize-window", "-t", "test", "-x", "110", "-y", "40")
	x.until(`TARGETS +STATE +EXECS/S +EDGES +COVER`)
	x.keys("q")
	text = x.until(`(?s)interrupt: stopping; once more stops at once.*findings? in out/findings`)
	for _, want := range []string{"bpffuzz: fuzzing forgetful", "bpffuzz: finding: ", "replay it with: ", "bpffuzz: executor batch", "bpffuzz: elapsed: "} {
		if !strings.Contains(text, want) {
			t.Errorf("after the screen there is no %q in\n%s", want, text)
		}
	}
	x.line("echo exit code $?")
	x.until(`exit code 1`)
	x.inOrder()
}

// However the screen ends, the terminal is as it was before.
func TestTerminalIsGivenBack(t *testing.T) {
	run := planted(t)
	t.Run("ctrl-c", func(t *testing.T) {
		t.Parallel()
		x := newTerminal(t, 80, 24)
		x.line(run)
		x.until("BLOCKED")
		x.keys("C-c")
		x.until(`(?s)stopping; once more stops at once.*\$$`)
		x.inOrder()
	})
	t.Run("SIGTERM", func(t *testing.T) {
		t.Parallel()
		x := newTerminal(t, 80, 24)
		x.line(run)
		x.until("BLOCKED")
		if err := syscall.Kill(x.child(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		x.until(`(?s)terminated: stopping; once more stops at once.*\$$`)
		x.inOrder()
	})
	t.Run("suspended", func(t *testing.T) {
		t.Parallel()
		x := newTerminal(t, 80, 24)
		x.line(run)
		x.until("BLOCKED")
		x.keys("C-z")
		x.until(`(?s)Stopped.*\$$`)
		x.inOrder()
		x.line("fg")
		x.until(`(?s)BLOCKED.*TARGETS.*forgetful +running`)
		x.keys("q")
		x.until(`(?s)findings? in out/findings.*\$$`)
		x.inOrder()
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		x := newTerminal(t, 80, 24)
		x.line("panicking 2>/dev/tty; echo ended $?")
		x.until("TARGETS")
		if err := syscall.Kill(x.child(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		x.until(`ended 2`)
		x.inOrder()
	})
	t.Run("end of the run", func(t *testing.T) {
		t.Parallel()
		x := newTerminal(t, 80, 24)
		x.line(run + " --stop-on-finding; echo ended $?")
		x.until(`ended 1`)
		x.inOrder()
	})
}

// panicking is a command with a screen whose engine panics when it gets SIGUSR1.
func panicking() {
	u := &ui{stdout: io.Discard, stderr: os.Stderr}
	ctx, stop := onSignal(context.Background(), u)
	defer stop()
	board := &campaign.Board{}
	newPublisher(board, "panicking")
	now := make(chan os.Signal, 1)
	signal.Notify(now, syscall.SIGUSR1)
	s := show(ctx, u, watched{board: board})
	defer s.Close()
	_, _ = fuzz.Run(ctx, panickingTarget{now}, fuzz.Options{Panicking: u.reclaim})
}

type panickingTarget struct{ now <-chan os.Signal }

func (panickingTarget) Shape() *corpus.Shape { return &corpus.Shape{} }
func (panickingTarget) Table() *cover.Table  { return &cover.Table{} }

func (p panickingTarget) NewExecutor(int) (fuzz.Executor, error) {
	<-p.now
	panic("planted")
}

// Plain lines are written where no screen is wanted, or none can be shown.
func TestLinesInsteadOfAScreen(t *testing.T) {
	run := planted(t) + " --execs 200000"
	for name, test := range map[string]struct{ env, flag, in string }{
		"no screen wanted":    {flag: " --no-tui"},
		"dumb terminal":       {env: "TERM=dumb"},
		"input from a file":   {in: " </dev/null"},
		"errors to somewhere": {in: " 2>&1 | cat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{}
			if test.env != "" {
				env = append(env, test.env)
			}
			x := newTerminal(t, 200, 50, env...)
			x.line("clear; " + run + test.flag + test.in)
			text := x.until(`(?s)findings? in out/findings`)
			if !strings.Contains(text, "bpffuzz: fuzzing forgetful") || strings.Contains(text, "BLOCKED") {
				t.Errorf("the lines are\n%s", text)
			}
		})
	}
}

func TestScreenWithoutColors(t *testing.T) {
	run := planted(t)
	for env, colors := range map[string]bool{"NO_COLOR=1": false, "NO_COLOR=": true} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t, 80, 24, env)
			x.line(run)
			x.until(`(?s)BLOCKED.*\(new\)`)
			text := x.run("capture-pane", "-e", "-p", "-t", "test")
			if got := regexp.MustCompile(`\x1b\[[0-9;]*3[1-6]m`).MatchString(text); got != colors {
				t.Errorf("colours: %t, want %t, in\n%q", got, colors, text)
			}
			x.keys("q")
			x.until(`findings? in out/findings`)
		})
	}
}

// The screen of a campaign has all its targets, and tab walks through them.
func TestScreenOfACampaign(t *testing.T) {
	planted(t)
	x := newTerminal(t, 100, 30)
	file := fmt.Sprintf("output: out\nturn: 1s\nworkers: 1\nseed: 3\ntargets:\n  - object: %s\n  - object: %s\n  - {name: gone, object: gone.o}\n",
		abs(t, "testdata/planted.o"), abs(t, "testdata/clean.o"))
	if err := os.WriteFile(filepath.Join(x.dir, "c.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	x.line("bpffuzz campaign c.yaml")
	x.until(`(?s)c\.yaml \(nightly\).*TARGETS.*planted .*clean .*gone +failed.*opening object: open gone\.o`)
	// The screen begins with the first target, or the one that ran when it was drawn first.
	selected := func() string {
		return regexp.MustCompile(`(?m)^> (\w+) `).FindStringSubmatch(x.until(`(?m)^> \w+ `))[1]
	}
	next := map[string]string{"planted": "clean", "clean": "gone", "gone": "planted"}
	for range next {
		was := selected()
		x.keys("Tab")
		x.until(`(?m)^> ` + next[was] + ` `)
	}
	for selected() != "planted" {
		was := selected()
		x.keys("BTab")
		x.until(`(?m)^> ` + next[next[was]] + ` `)
	}
	x.until(`(?s)FINDINGS of planted.*\(new\) verdict`)
	x.keys("q")
	x.until(`(?s)interrupt: stopping.*new findings: [1-9].*\$$`)
	x.inOrder()
}
