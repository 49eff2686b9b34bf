package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var metricsAt = regexp.MustCompile(`^bpffuzz: metrics are at (http://\S+)$`)

// servedAt starts a run that serves metrics and returns where.
func servedAt(t *testing.T, args ...string) (r *running, url string) {
	t.Helper()
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	args = append([]string{"run", "-o", "out", "-j", "1", "--seed", "3", "--metrics", "127.0.0.1:0"}, args...)
	r = start(t, t.TempDir(), "bpffuzz", append(args, abs(t, "testdata/planted.o"))...)
	for url == "" {
		if !r.read() {
			t.Fatalf("the command ended too early: %v", r.cmd.Wait())
		}
		if m := metricsAt.FindStringSubmatch(r.lines.Text()); m != nil {
			url = m[1]
		}
	}
	return r, url
}

func ask(t *testing.T, url, token string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// What Prometheus is told of a run is what the run says in its lines.
func TestMetricsOfARun(t *testing.T) {
	r, url := servedAt(t)
	r.until(func() bool { return len(r.findings) >= 1 && r.progress >= 1 })
	status, text := ask(t, url, "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, text)
	}
	for _, want := range []string{
		`bpffuzz_target_state{program="forgetful",state="running",target="forgetful"} 1`,
		`bpffuzz_execs_done_total{program="forgetful",target="forgetful"} [1-9]`,
		`bpffuzz_edges_found{program="forgetful",target="forgetful"} [1-9]`,
		`bpffuzz_new_findings{program="forgetful",target="forgetful"} [1-9]`,
		`bpffuzz_last_find_timestamp_seconds{program="forgetful",target="forgetful"} 1`,
		`process_open_fds [1-9]`,
	} {
		if !regexp.MustCompile(`(?m)^` + strings.NewReplacer("{", `\{`, "}", `\}`).Replace(want)).MatchString(text) {
			t.Errorf("no line %s in\n%s", want, text)
		}
	}
	r.signal(syscall.SIGINT)
	if state := r.end(); state.ExitCode() != exitFindings {
		t.Errorf("the run ended with %v, want exit code %d", state, exitFindings)
	}
}

func TestMetricsNeedTheToken(t *testing.T) {
	const token = "d41d8cd98f00b204e9800998ecf8427e"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, url := servedAt(t, "--token-file", file)
	for given, want := range map[string]int{"": http.StatusUnauthorized, token + "0": http.StatusUnauthorized, token: http.StatusOK} {
		if status, _ := ask(t, url, given); status != want {
			t.Errorf("with token %q status %d, want %d", given, status, want)
		}
	}
	r.signal(syscall.SIGINT)
	r.end()
}
