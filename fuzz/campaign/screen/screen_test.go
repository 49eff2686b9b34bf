package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/term"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// newPTY returns both ends of a terminal of 80 times 24 cells.
func newPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a terminal of its own: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// reading is what was written to a terminal so far.
type reading struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *reading) from(master *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := master.Read(b)
		r.mu.Lock()
		r.text.Write(b[:n])
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits for a text.
func (r *reading) until(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for poll := time.NewTicker(5 * time.Millisecond); ; {
		r.mu.Lock()
		found := strings.Contains(r.text.String(), text)
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%q is not on the screen", text)
		}
	}
}

func modes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

func oneTarget() *campaign.Board {
	b := &campaign.Board{}
	b.Update(func(s *campaign.Status) { *s = *oneRun() })
	return b
}

func TestScreenTakesAndGivesBack(t *testing.T) {
	master, slave := newPTY(t)
	if !Terminal(slave, slave, "xterm") || Terminal(slave, slave, "dumb") || Terminal(slave, slave, "") {
		t.Error("what is a terminal is not known")
	}
	before := modes(t, slave)
	var read reading
	go read.from(master)
	asked := make(chan string, 10)
	keys := make(chan string, 1)
	s, err := Start(t.Context(), Options{
		Board: oneTarget(), Input: slave, Output: slave,
		Blocked: func(_ context.Context, target string) ([]campaign.Blocked, error) {
			asked <- target
			return []campaign.Blocked{{Where: "firewall.bpf.c:777", Reached: true, Wanted: "luck"}}, nil
		},
		Stop: func(key string) { keys <- key },
	})
	if err != nil {
		t.Fatal(err)
	}
	read.until(t, "TARGETS")
	if target := <-asked; target != "firewall" {
		t.Errorf("asked about %q", target)
	}
	read.until(t, "firewall.bpf.c:777")
	if modes(t, slave) == before {
		t.Error("the terminal is as before while the screen has it")
	}
	if _, err := master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if key := <-keys; key != "q" {
		t.Errorf("stopped by %q", key)
	}
	<-s.Done()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if modes(t, slave) != before {
		t.Error("the terminal is not as it was before")
	}
	read.until(t, "\x1b[?1049l") // back from the alternate screen
}

func TestCloseEndsTheScreen(t *testing.T) {
	master, slave := newPTY(t)
	before := modes(t, slave)
	var read reading
	go read.from(master)
	s, err := Start(t.Context(), Options{
		Board: oneTarget(), Input: slave, Output: slave, Stop: func(key string) { t.Errorf("stopped by %q", key) },
		Blocked: func(ctx context.Context, _ string) ([]campaign.Blocked, error) {
			<-ctx.Done() // however long it takes, it does not outlive the screen
			return nil, ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	read.until(t, "TARGETS")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if modes(t, slave) != before {
		t.Error("the terminal is not as it was before")
	}
}

// A terminal that nobody reads from does not hold up the end.
func TestTerminalThatHangs(t *testing.T) {
	_, slave := newPTY(t)
	before := modes(t, slave)
	fill(t, slave.Name())
	s, err := Start(t.Context(), Options{Board: oneTarget(), Input: slave, Output: slave})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for poll := time.NewTicker(10 * time.Millisecond); modes(t, slave) == before; {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("the screen did not take the terminal")
		}
	}
	if err := s.Close(); err != nil && !strings.Contains(err.Error(), "does not take what is written to it") {
		t.Errorf("error %v", err)
	}
	if modes(t, slave) != before {
		t.Error("the terminal is not as it was before")
	}
}

// fill writes until the kernel holds no more for a reader.
func fill(t *testing.T, terminal string) {
	t.Helper()
	fd, err := unix.Open(terminal, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for line := []byte(strings.Repeat("x", 512)); err == nil; {
		_, err = unix.Write(fd, line)
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Terminal(f, f, "xterm") {
		t.Errorf("%s is a terminal", os.DevNull)
	}
	if s, err := Start(t.Context(), Options{Board: &campaign.Board{}, Input: f, Output: f}); err == nil {
		_ = s.Close()
		t.Error("a screen on no terminal")
	} else if !strings.Contains(err.Error(), "taking the terminal") {
		t.Errorf("error %v", err)
	}
	if term.IsTerminal(f.Fd()) {
		t.Error("the test is wrong")
	}
}
