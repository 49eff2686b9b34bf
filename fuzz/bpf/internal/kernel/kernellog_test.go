package kernel

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/triage/kernellog"
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
	read := func() (lines []string) {
		err := log.records(func(r kernellog.Record) {
			if lines = append(lines, r.Text); strings.HasPrefix(r.Text, "bpffuzz test:") && r.Facility == 0 {
				t.Errorf("%q seems to be the kernel's", r.Text)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	if lines := read(); !slices.Contains(lines, "bpffuzz test: after") || slices.Contains(lines, "bpffuzz test: before") {
		t.Errorf("read %q", lines)
	}
	if again := read(); slices.Contains(again, "bpffuzz test: after") {
		t.Errorf("read again %q", again)
	}
	say("WARNING: bpffuzz test, written by user space")
	say("<1>BUG: bpffuzz test, written by user space")
	list, err := log.Complaints()
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if strings.Contains(list[i].Head, "bpffuzz test") {
			t.Errorf("what user space writes counts as %s", &list[i])
		}
	}
}

// Each read gives a record; those that the kernel has overwritten are skipped.
func TestLogReaderReadsRecords(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogReader(fds[0])
	defer log.Close()
	defer unix.Close(fds[1])
	records := []string{
		"6,1,10,-;eth0: link up\n SUBSYSTEM=net\n",
		"12,2,11,-;WARNING: of user space\n",
		"no record",
		"4,3,12,-;------------[ cut here ]------------\n",
		"4,4,13,-;WARNING: CPU: 1 PID: 7 at net/core/filter.c:1716 bpf_skb_load_bytes+0xc0/0xd0\n",
		"4,5,14,-;---[ end trace 0000000000000000 ]---\n",
	}
	for _, record := range records {
		if _, err := unix.Write(fds[1], []byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := log.Complaints()
	if err != nil || len(list) != 1 || len(list[0].Lines) != 3 || list[0].Where != "bpf_skb_load_bytes" {
		t.Errorf("complaints %+v, %v", list, err)
	}
	if list, err := log.Complaints(); err != nil || list != nil {
		t.Errorf("again %+v, %v", list, err)
	}
}
