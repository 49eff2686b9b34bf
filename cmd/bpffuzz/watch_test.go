package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var (
	metricsAt   = regexp.MustCompile(`^bpffuzz: metrics are at (http://\S+)$`)
	dashboardAt = regexp.MustCompile(`^bpffuzz: the dashboard is at (http://\S+)$`)
)

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

// The dashboard's server has the metrics as well, and a server of metrics nothing else.
func TestMetricsBesideTheDashboard(t *testing.T) {
	r, url := servedAt(t, "--http", "127.0.0.1:0")
	if r.dashboard == "" {
		t.Fatal("the dashboard was not announced before the metrics")
	}
	if status, text := ask(t, r.dashboard+"metrics", ""); status != http.StatusOK || !strings.Contains(text, "bpffuzz_workers 1") {
		t.Errorf("status %d: %s", status, text)
	}
	if status, _ := ask(t, strings.TrimSuffix(url, "metrics"), ""); status != http.StatusNotFound {
		t.Errorf("status %d of what is no metric", status)
	}
	r.signal(syscall.SIGINT)
	r.end()
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

// A webhook is told of findings and of the end, and nobody of its URL.
func TestWebhookOfARun(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	for format, want := range map[string][2]string{
		"generic": {`"version":1,"event":"finding",`, `"event":"campaign_ended",`},
		"slack":   {`{"text":"*New finding* in forgetful\n`, `{"text":"*Ended*: forgetful after `},
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			bodies := make(chan string, 100)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if b, err := io.ReadAll(r.Body); err == nil {
					bodies <- string(b)
				}
			}))
			defer server.Close()
			dir := t.TempDir()
			const secret = "d41d8cd98f00b204"
			if err := os.WriteFile(filepath.Join(dir, "hook"), []byte(server.URL+"/"+secret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := start(t, dir, "bpffuzz", "run", "-o", "out", "-j", "1", "--seed", "3", "--stop-on-finding",
				"--webhook", "file:hook", "--webhook-format", format, abs(t, "testdata/planted.o"))
			var lines strings.Builder
			for r.read() {
				lines.WriteString(r.lines.Text() + "\n")
			}
			if state := r.end(); state.ExitCode() != exitFindings {
				t.Errorf("the run ended with %v, want exit code %d", state, exitFindings)
			}
			close(bodies)
			var all []string
			for b := range bodies {
				all = append(all, b)
			}
			if len(all) < 2 || !strings.Contains(all[0], want[0]) || !strings.Contains(all[len(all)-1], want[1]) {
				t.Errorf("posted %q, want first %q, last %q", all, want[0], want[1])
			}
			stats, err := os.ReadFile(filepath.Join(dir, "out/stats.json"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(lines.String()+string(stats), secret) {
				t.Errorf("the secret is told:\n%s%s", &lines, stats)
			}
		})
	}
}

// A webhook that cannot be reached ends nothing, and is said once for each notification.
func TestWebhookThatIsGone(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	defer server.Close()
	r := start(t, t.TempDir(), "bpffuzz", "run", "-o", "out", "-j", "1", "--seed", "3", "--execs", "1000",
		"--webhook", server.URL+"/d41d8cd98f00b204", abs(t, "testdata/clean.o"))
	var lines strings.Builder
	for r.read() {
		lines.WriteString(r.lines.Text() + "\n")
	}
	if state := r.end(); state.ExitCode() != exitClean {
		t.Errorf("the run ended with %v, want exit code %d", state, exitClean)
	}
	for _, want := range []string{
		"bpffuzz: warning: notifying webhook 1 (127.0.0.1) of campaign_ended: attempt 1: it answered 410 Gone\n",
		"bpffuzz: warning: notifications: 1 could not be delivered and 0 had to be dropped, 0 were sent\n",
	} {
		if strings.Count(lines.String(), want) != 1 {
			t.Errorf("want once %q in\n%s", want, &lines)
		}
	}
}
