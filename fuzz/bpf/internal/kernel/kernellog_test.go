package kernel

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What is logged after the log was opened is read once, what was there before is not.
func TestLogReader(t *testing.T) {
	if mode, err := os.ReadFile("/proc/sys/kernel/printk_devkmsg"); err == nil && strings.TrimSpace(string(mode)) == "off" {
		t.Skip("the sysctl kernel.printk_devkmsg is off: what is written to the log does not get there")
	}
	out, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("writing to the kernel's log: %v", err)
	}
	defer out.Close()
	say := func(line string) {
		if _, err := out.WriteString(line + "\n"); err != nil {
			t.Skipf("writing to the kernel's log: %v", err)
		}
	}
	say("bpffuzz test: before")
	log, err := OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	say("bpffuzz test: after")
	lines, err := log.Lines()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(lines, "bpffuzz test: after") || slices.Contains(lines, "bpffuzz test: before") {
		t.Errorf("read %q", lines)
	}
	if again, err := log.Lines(); err != nil || slices.Contains(again, "bpffuzz test: after") {
		t.Errorf("read again %q, %v", again, err)
	}
}
