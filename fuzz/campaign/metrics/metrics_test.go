package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// testBoard has a target that ran, one that failed, and one that nothing is known of.
func testBoard() *campaign.Board {
	at := time.Unix(1_700_000_000, 0)
	b := &campaign.Board{}
	b.Update(func(s *campaign.Status) {
		s.Started, s.Workers = at, 2
		s.Targets = []campaign.TargetStatus{
			{
				Name: "fw", Program: "firewall", State: campaign.Running, Rate: 1000,
				Stats: fuzz.Stats{
					Elapsed: 10 * time.Second, Execs: 12345, Edges: 50, Total: 200, Corpus: 7, Found: 5, Newest: 4 * time.Second,
					Failing: 3, Unconfirmed: 1, Solved: 9, Stability: 0.5,
				},
				Findings: []campaign.FindingStatus{
					{Key: "a", Kind: "verdict", At: at.Add(time.Minute), New: true},
					{Key: "b", Kind: "verdict", New: true, Known: true},
					{Key: "c", Kind: "errno"},
				},
			},
			{Name: "gone", State: campaign.Failed, Gains: []campaign.Gain{{At: at.Add(time.Hour)}}},
			{Name: "foreign", Program: "p\xff\n\"\\"},
		}
		s.Peers = []campaign.Peer{{Name: "other"}}
	})
	return b
}

func TestMetricsOfABoard(t *testing.T) {
	text := scrape(t, testBoard())
	for _, want := range []string{
		`bpffuzz_build_info{version="v1"} 1`,
		`bpffuzz_start_time_seconds 1.7e+09`,
		`bpffuzz_workers 2`,
		`bpffuzz_peers 1`,
		`bpffuzz_execs_done_total{program="firewall",target="fw"} 12345`,
		`bpffuzz_execs_per_second{program="firewall",target="fw"} 1000`,
		`bpffuzz_run_time_seconds_total{program="firewall",target="fw"} 10`,
		`bpffuzz_corpus_entries{program="firewall",target="fw"} 7`,
		`bpffuzz_corpus_found_total{program="firewall",target="fw"} 5`,
		`bpffuzz_edges_found{program="firewall",target="fw"} 50`,
		`bpffuzz_total_edges{program="firewall",target="fw"} 200`,
		`bpffuzz_bitmap_cvg_ratio{program="firewall",target="fw"} 0.25`,
		`bpffuzz_stability_ratio{program="firewall",target="fw"} 0.5`,
		`bpffuzz_time_wo_finds_seconds{program="firewall",target="fw"} 4`,
		`bpffuzz_saved_findings{program="firewall",target="fw"} 3`,
		`bpffuzz_new_findings{program="firewall",target="fw"} 1`,
		`bpffuzz_last_finding_timestamp_seconds{program="firewall",target="fw"} 1.70000006e+09`,
		`bpffuzz_failing_execs_total{program="firewall",target="fw"} 3`,
		`bpffuzz_unconfirmed_execs_total{program="firewall",target="fw"} 1`,
		`bpffuzz_comparisons_solved_total{program="firewall",target="fw"} 9`,
		`bpffuzz_findings{kind="verdict",known="no",program="firewall",target="fw"} 1`,
		`bpffuzz_findings{kind="verdict",known="yes",program="firewall",target="fw"} 1`,
		`bpffuzz_findings{kind="errno",known="no",program="firewall",target="fw"} 1`,
		`bpffuzz_target_state{program="firewall",state="running",target="fw"} 1`,
		`bpffuzz_target_state{program="firewall",state="failed",target="fw"} 0`,
		`bpffuzz_target_state{program="",state="failed",target="gone"} 1`,
		`bpffuzz_last_find_timestamp_seconds{program="",target="gone"} 1.7000036e+09`,
		`bpffuzz_target_state{program="p` + "\uFFFD" + `\n\"\\",state="waiting",target="foreign"} 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, absent := range []string{`bpffuzz_bitmap_cvg_ratio{program="",target="gone"}`, `bpffuzz_stability_ratio{program="",target="gone"}`} {
		if strings.Contains(text, absent) {
			t.Errorf("%s of a target that never ran", absent)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestLastFindIsAMoment: what is newest is the moment itself, not when one asked.
func TestLastFindIsAMoment(t *testing.T) {
	b := testBoard()
	s := b.Status()
	want := fmt.Sprintf("bpffuzz_last_find_timestamp_seconds{program=\"firewall\",target=\"fw\"} %g\n", unix(s.Now.Add(-4*time.Second)))
	if text := scrape(t, b); !strings.Contains(text, want) {
		t.Errorf("no line %s in %s", want, text)
	}
}

func scrape(t *testing.T, b *campaign.Board) string {
	t.Helper()
	server := httptest.NewServer(Handler(Registry(b, "v1")))
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("status %s, error %v: %s", answer.Status, err, text)
	}
	return string(text)
}

func TestPromlintHasNoComplaint(t *testing.T) {
	families, err := Registry(testBoard(), "v1").Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestCollectWhileTheBoardChanges: whatever is on the board can be told.
func TestCollectWhileTheBoardChanges(t *testing.T) {
	var b campaign.Board
	r := Registry(&b, "v1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			b.Update(func(s *campaign.Status) {
				s.Targets = make([]campaign.TargetStatus, i%3)
				for j := range s.Targets {
					s.Targets[j].Name = fmt.Sprint(j)
				}
			})
		}
	}()
	for range 20 {
		if _, err := r.Gather(); err != nil {
			t.Fatal(err)
		}
	}
	<-done
}

// TestGrafanaAsksForWhatExists reads every expression of the dashboard.
func TestGrafanaAsksForWhatExists(t *testing.T) {
	raw, err := os.ReadFile("../../../examples/campaign/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard any
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	families, err := Registry(testBoard(), "v1").Gather()
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, f := range families {
		exists[f.GetName()] = true
	}
	metric := regexp.MustCompile(`\b(bpffuzz|process|go)_[a-z_]+`)
	asked := map[string]bool{}
	for _, expr := range expressions(dashboard) {
		for _, name := range metric.FindAllString(expr, -1) {
			asked[name] = true
			if !exists[name] {
				t.Errorf("%q asks for %s, which does not exist", expr, name)
			}
		}
	}
	if len(asked) < 15 {
		t.Errorf("only %d metrics are asked for: %v", len(asked), asked)
	}
}

// expressions returns what a dashboard asks Prometheus, wherever it stands.
func expressions(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			all = append(all, expressions(one)...)
		}
	case map[string]any:
		for key, one := range v {
			if text, ok := one.(string); ok && (key == "expr" || key == "query") {
				all = append(all, text)
			}
			all = append(all, expressions(one)...)
		}
	}
	return all
}
