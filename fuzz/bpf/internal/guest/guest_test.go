package guest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestArchive(t *testing.T) {
	var out bytes.Buffer
	a := &archive{w: &out}
	a.directory("d")
	a.console("d/console")
	a.file("d/five", []byte("12345"))
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	// Magic number, inode, mode, user, group, links, time, size, numbers of the file
	// system's device and of the file's own, length of the name, checksum.
	want := "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "d\x00" +
		"070701" + "00000002" + "00002180" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000005" + "00000001" + "0000000A" + "00000000" + "d/console\x00" +
		"070701" + "00000003" + "000081ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000007" + "00000000" + "d/five\x00\x00\x00\x00" + "12345\x00\x00\x00" +
		"070701" + "00000004" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "0000000B" + "00000000" + "TRAILER!!!\x00\x00\x00\x00"
	if got := out.String(); got != want {
		t.Errorf("wrote\n%q\nwant\n%q", got, want)
	}
}

// fullDisk takes some bytes and no more.
type fullDisk struct{ room int }

var errFull = errors.New("full")

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestArchiveKeepsTheFirstError(t *testing.T) {
	a := &archive{w: &fullDisk{room: 150}}
	a.file("f", make([]byte, 100))
	if err := a.end(); !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
}

func TestDirectoriesComeBeforeTheirFiles(t *testing.T) {
	from := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(from, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &archive{w: &out}
	if err := addFiles(a, map[string]string{"x/y/b": from, "x/y/a": from, "c": from}); err != nil {
		t.Fatal(err)
	}
	var at []int
	for _, name := range []string{"c", "x", "x/y", "x/y/a", "x/y/b"} {
		at = append(at, strings.Index(out.String(), "00000000"+name+"\x00"))
	}
	for i := range at {
		if at[i] < 0 || i > 0 && at[i] <= at[i-1] {
			t.Errorf("entries begin at %v", at)
		}
	}
	if n := strings.Count(out.String(), "00000000x/y\x00"); n != 1 {
		t.Errorf("a directory is there %d times", n)
	}
}

func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		status       int
		found        bool
	}{
		{"success", "text\n" + End + "0\n[ 1.0] reboot: Power down\n", 0, true},
		{"failure", "\n" + End + "2\n", 2, true},
		{"the last one counts", "\n" + End + "1\n\n" + End + "0\n", 0, true},
		{"nothing", "", 0, false},
		{"cut off", "\n" + End + "1", 0, false},
		{"no number", "\n" + End + "x\n", 0, false},
		{"within a line", "it ends with " + End + "0\n", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, found := exitStatus(tt.output)
			if found != tt.found || found && status != tt.status {
				t.Errorf("status %d, found %t; want %d, %t", status, found, tt.status, tt.found)
			}
		})
	}
}

func TestConsoleKeepsTheEnd(t *testing.T) {
	var c console
	line := []byte(strings.Repeat("x", 1<<16-2) + "\r\n")
	for range 3 * consoleKept / len(line) {
		_, _ = c.Write(line)
	}
	_, _ = c.Write([]byte("end"))
	if len(c.text) > 2*consoleKept || !strings.HasSuffix(c.String(), "x\nend") {
		t.Errorf("%d bytes are kept", len(c.text))
	}
}

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	if _, err := newestIn(dir); !errors.Is(err, ErrMissing) {
		t.Errorf("of no kernel: %v, want %v", err, ErrMissing)
	}
	for i, name := range []string{"vmlinuz-6.1.0-9", "vmlinuz-6.1.0-10", "vmlinuz-5.10", "config-6.1.0-10"} {
		path := filepath.Join(dir, name)
		changed := time.Unix(int64(1000+[]int{1, 3, 2, 4}[i]), 0)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, changed, changed)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := newestIn(dir)
	if err != nil || filepath.Base(got) != "vmlinuz-6.1.0-10" {
		t.Errorf("found %s, %v", got, err)
	}
}

func TestFindTakesTheVariableAtItsWord(t *testing.T) {
	if _, err := exec.LookPath(Emulator); err != nil {
		t.Skip(err)
	}
	t.Setenv(KernelVariable, filepath.Join(t.TempDir(), "nothing"))
	if _, err := Find(); err == nil || errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), KernelVariable) {
		t.Errorf("a kernel that is not there gives %v", err)
	}
}

// What does not boot is told with what the console said, and does not take longer
// than it may.
func TestRunSaysWhatHappened(t *testing.T) {
	if _, err := exec.LookPath(Emulator); err != nil {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := Options{Kernel: file, Program: file}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Run(ctx, opts); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "qemu: linux kernel too old") {
		t.Errorf("a file of zeros boots, or: %v", err)
	}
	cancel()
	if _, err := Run(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}
