package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRunsShare: a run that joins another one runs what that has found, and both say so.
func TestRunsShare(t *testing.T) {
	if !privileged() {
		t.Skip("needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	dir := t.TempDir()
	object, err := filepath.Abs("../../examples/balancer/target.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first := start(t, dir, "bpffuzz", "run", "-c", object, "-o", "first", "--seed", "1", "-j", "1", "--no-tui", "--nats-listen", "127.0.0.1:0", "--nats-name", "first")
	address := regexp.MustCompile(`^bpffuzz: sharing as first at (nats://127\.0\.0\.1:\d+)$`)
	url := ""
	var said strings.Builder
	for first.lines.Scan() {
		said.WriteString(first.lines.Text() + "\n")
		if m := address.FindStringSubmatch(first.lines.Text()); m != nil {
			url = m[1]
		}
		if url != "" && elapsed.MatchString(first.lines.Text()) {
			break // it has found something
		}
	}
	if url == "" {
		t.Fatalf("the first run does not say where it shares:\n%s", &said)
	}
	var stdout, stderr bytes.Buffer
	second := []string{"run", "-c", object, "-o", filepath.Join(dir, "second"), "--seed", "2", "-j", "1", "--no-tui", "-d", "6s", "--nats", url, "--nats-name", "second"}
	if code := run(second, &stdout, &stderr); code == exitError {
		t.Fatalf("the second run ends with %d:\n%s", code, &stderr)
	}
	if !regexp.MustCompile(`(?m)^bpffuzz: shared with 1 other machine: \d+ entries and findings announced, \d+ that are there already, [1-9]\d* of others run$`).Match(stderr.Bytes()) {
		t.Errorf("the second run says\n%s", &stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "second/exchange/exchange.json")); err != nil {
		t.Error(err)
	}
	if err := first.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	for first.lines.Scan() {
		said.WriteString(first.lines.Text() + "\n")
	}
	_ = first.cmd.Wait()
	if code := first.cmd.ProcessState.ExitCode(); code == exitError || !strings.Contains(said.String(), "bpffuzz: shared with ") {
		t.Errorf("the first run ends with %d and says\n%s", code, &said)
	}
}
