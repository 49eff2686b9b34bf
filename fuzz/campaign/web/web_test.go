package web

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// get asks the handler; header pairs follow.
func get(t *testing.T, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost:8080"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func handler(t *testing.T, y *toy, opts Options) http.Handler {
	t.Helper()
	opts.Board, opts.Details = &y.board, answers{}
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNewNeedsABoard(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a dashboard of nothing")
	}
}

// Every page is there, says what it has to, and escapes what comes from foreign files.
func TestPages(t *testing.T) {
	h := handler(t, newToy(t), Options{Version: "v1.2.3"})
	finding := "/targets/parser/findings/broken-parser-1"
	for path, wants := range map[string][]string{
		"/":                         {"night.yaml", "nightly", "2 workers", `id="target-parser"`, "1 new", "v1.2.3", "router"},
		"/log":                      {"finding: &lt;script&gt;", `class="warning"`, "Other machines", "other"},
		"/targets/parser":           {"xdp_parser", "parser.c:12", "Age of the corpus", `data-load="/targets/parser/frontier"`},
		"/targets/router":           {"waiting", "None so far."},
		"/targets/parser/frontier":  {"port == 443", "442 against 443", "removed by the verifier"},
		"/targets/router/frontier":  {"the corpus is empty"},
		"/targets/parser/source":    {"parser.c:3 (taken): not covered", "covered covered3", "int &lt;script&gt;"},
		"/targets/router/source":    {"the corpus is empty"},
		"/targets/parser/flow":      {"/targets/parser/graph.svg"},
		"/targets/parser/graph.svg": {"<svg"},
		finding:                     {"it is &lt;script&gt;", "bpffuzz replay", "met <span", finding + "/page", finding + "/files/input.pcap"},
		finding + "/page":           {"decoded", "body > h1"},
		"/assets/app.js":            {"EventSource"},
		"/assets/uplot/LICENSE":     {"MIT License"},
		"/favicon.ico":              {"<svg"},
	} {
		answer := get(t, h, http.MethodGet, path)
		text := body(t, answer)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, answer.StatusCode, text)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", path, want, text)
			}
		}
		if strings.Contains(text, "<script>") || strings.Contains(text, "<img src=x") {
			t.Errorf("%s: text of a foreign file is markup", path)
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'self'") && !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: content security policy %q", path, policy)
		}
		if answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: browsers may guess what it is", path)
		}
	}
}

// Pages need nothing that the content security policy forbids, and nothing from elsewhere.
func TestPagesHaveNothingInline(t *testing.T) {
	h := handler(t, newToy(t), Options{})
	inline := regexp.MustCompile(`(?i)<script(>| [^>]*[^r]>)|<style|\sstyle=|\son[a-z]+=|(src|href)="(https?:)?//`)
	for _, path := range []string{"/", "/log", "/targets/parser", "/targets/parser/frontier", "/targets/parser/source", "/targets/parser/flow", "/targets/parser/findings/broken-parser-1"} {
		text := strings.ReplaceAll(body(t, get(t, h, http.MethodGet, path)), "onerror=alert(2)&gt;", "")
		if found := inline.FindString(text); found != "" && !strings.HasSuffix(found, "defer>") {
			t.Errorf("%s: %s", path, found)
		}
	}
}

func TestNothingElseIsAnswered(t *testing.T) {
	y := newToy(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(y.dir, "repro.sh")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(y.dir, "repro.c"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := handler(t, y, Options{})
	files := "/targets/parser/findings/broken-parser-1/files/"
	for _, path := range []string{
		"/nothing", "/targets/", "/targets/other", "/targets/other/source", "/targets/router/findings/broken-parser-1", "/targets/parser/findings/other",
		"/targets/parser/findings/..", "/targets/parser/findings/%2e%2e", "/assets/../web.go", "/assets/", "/assets/app", "/api/targets/other",
		files + "secret", files + "repro.exe", files + "repro.sh", files + "repro.c", files + "repro.o", files, files + "..%2finput", files + "%2e%2e",
		files + "..%2f..%2f..%2fetc%2fpasswd", files + "input%00", files + "repro-99999.data", files + "./secret",
	} {
		if answer := get(t, h, http.MethodGet, path); answer.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", path, body(t, answer))
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		if answer := get(t, h, method, "/targets/parser"); answer.StatusCode != http.StatusMethodNotAllowed && answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %d", method, answer.StatusCode)
		}
	}
}

func TestDownloads(t *testing.T) {
	y := newToy(t)
	h := handler(t, y, Options{})
	for _, name := range []string{"input", "input.pcap", "report.txt", "report.html", "repro.data", "repro-12.ctx.out"} {
		answer := get(t, h, http.MethodGet, "/targets/parser/findings/broken-parser-1/files/"+name)
		want, err := os.ReadFile(filepath.Join(y.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := body(t, answer); got != string(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := answer.Header.Get("Content-Disposition"); got != "attachment; filename="+name {
			t.Errorf("%s: content disposition %q", name, got)
		}
		if got := answer.Header.Get("Content-Type"); got != "application/octet-stream" {
			t.Errorf("%s: content type %q", name, got)
		}
	}
}

// A report that is damaged or gone leaves a page all the same.
func TestFindingWithoutReport(t *testing.T) {
	y := newToy(t)
	h := handler(t, y, Options{})
	if err := os.Remove(filepath.Join(y.dir, "report.html")); err != nil {
		t.Fatal(err)
	}
	page := "/targets/parser/findings/broken-parser-1"
	if text := body(t, get(t, h, http.MethodGet, page)); !strings.Contains(text, "what is wrong: &lt;script&gt;") || strings.Contains(text, "<iframe") {
		t.Errorf("without report.html:\n%s", text)
	}
	if answer := get(t, h, http.MethodGet, page+"/page"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("the report that is gone: status %d", answer.StatusCode)
	}
	if err := os.RemoveAll(y.dir); err != nil {
		t.Fatal(err)
	}
	if text := body(t, get(t, h, http.MethodGet, page)); !strings.Contains(text, "gone or damaged") {
		t.Errorf("without a directory:\n%s", text)
	}
}

func TestAPI(t *testing.T) {
	h := handler(t, newToy(t), Options{})
	var status statusJSON
	ask := func(path string, v any) {
		t.Helper()
		answer := get(t, h, http.MethodGet, path)
		if kind := answer.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: content type %q", path, kind)
		}
		if err := json.Unmarshal([]byte(body(t, answer)), v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	ask("/api/status", &status)
	if status.Title != "night.yaml" || len(status.Targets) != 2 || status.Targets[0].State != "running" || status.Targets[1].State != "waiting" || status.Targets[0].NewFindings != 1 || status.Targets[0].Execs != 1000 {
		t.Errorf("status %+v", status)
	}
	var target struct {
		Points   []pointJSON
		Findings []findingJSON
		Gains    []gainJSON
	}
	ask("/api/targets/parser", &target)
	if len(target.Points) != 1 || target.Points[0] != (pointJSON{1, 1000, 1, 2, 1, 1000}) || len(target.Gains) != 1 {
		t.Errorf("target %+v", target)
	}
	if len(target.Findings) != 1 || len(target.Findings[0].Files) != 7 || target.Findings[0].Files[0] != "/targets/parser/findings/broken-parser-1/files/input.pcap" {
		t.Errorf("findings %+v", target.Findings)
	}
	var blocked []blockedJSON
	ask("/api/targets/parser/frontier", &blocked)
	if len(blocked) != 2 || !blocked[1].Unreachable {
		t.Errorf("frontier %+v", blocked)
	}
	var problem struct{ Error string }
	ask("/api/targets/router/source", &problem)
	if problem.Error != "the corpus is empty" {
		t.Errorf("error %q", problem.Error)
	}
}

// An unchanged asset is not sent again.
func TestAssetsAreKept(t *testing.T) {
	h := handler(t, newToy(t), Options{})
	tag := get(t, h, http.MethodGet, "/assets/app.css").Header.Get("Etag")
	if answer := get(t, h, http.MethodGet, "/assets/app.css", "If-None-Match", tag); tag == "" || answer.StatusCode != http.StatusNotModified {
		t.Errorf("tag %q, status %d", tag, answer.StatusCode)
	}
}
