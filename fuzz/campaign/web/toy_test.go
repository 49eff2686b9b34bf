package web

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

const token = "0123456789abcdef0123"

// hostile is what a foreign object may be named.
const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(2)>`

var begun = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

// toy is a campaign without programs.
type toy struct {
	board campaign.Board
	dir   string // of a finding
}

func newToy(t *testing.T) *toy {
	t.Helper()
	y := &toy{dir: filepath.Join(t.TempDir(), "broken-parser-1")}
	if err := os.Mkdir(y.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"input": "go test fuzz v1\n", "input.pcap": "\xd4\xc3\xb2\xa1\x00\xff packets", "report.txt": "what is wrong: " + hostile + "\n",
		"report.json": "{}\n", "repro.data": "data", "repro-12.ctx.out": "ctx",
		"report.html": "<!DOCTYPE html><html><head><style>body{}</style></head><body><h1>headline</h1><table><tr><td>ip</td></tr></table><p id=\"packet\">decoded</p></body></html>",
		"secret":      "not for download", "repro.exe": "neither",
	} {
		if err := os.WriteFile(filepath.Join(y.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	y.board.Update(func(s *campaign.Status) {
		s.Title, s.Mode, s.Started, s.Workers = "night.yaml", "nightly", begun, 2
		for _, name := range []string{"parser", "router"} {
			s.Targets = append(s.Targets, campaign.TargetStatus{
				Name: name, Object: name + ".o", Program: "xdp_" + name, Type: "xdp", Dir: "out/" + name,
				Stats: fuzz.Stats{Total: 40},
			})
		}
		one := &s.Targets[0]
		one.State = campaign.Running
		one.Findings = []campaign.FindingStatus{{
			Key: "broken-parser-1", Kind: "broken", Title: "it is " + hostile, Path: y.dir, Command: "bpffuzz replay " + y.dir, At: begun, Count: 3, New: true,
		}}
		s.Notify(campaign.Notice{At: begun, Target: "parser", Text: "finding: " + hostile, Warning: true})
		s.Peers = []campaign.Peer{{Name: "other", Seen: begun, Execs: 5, Rate: 1}}
	})
	y.step(1)
	return y
}

// step has the first target get further.
func (y *toy) step(n int) {
	y.board.Update(func(s *campaign.Status) {
		t := &s.Targets[0]
		t.Stats.Edges, t.Stats.Execs, t.Stats.Corpus, t.Stats.Found, t.Rate = n, uint64(1000*n), 2*n, n, 1000
		t.AddPoint(campaign.Point{At: time.Duration(n) * time.Second, Execs: t.Stats.Execs, Edges: n, Corpus: 2 * n, Findings: 1, Rate: 1000})
		t.AddGain(campaign.Gain{At: begun, Edges: 1, Where: "parser.c:12"})
	})
}

// end says that nothing more is going to come.
func (y *toy) end() { y.board.Update(func(s *campaign.Status) { s.Ended = true }) }

// answers are the toy's details.
type answers struct{}

func known(target string) error {
	if target != "parser" {
		return errors.New("the corpus is empty")
	}
	return nil
}

func (answers) Frontier(_ context.Context, target string) ([]campaign.Blocked, error) {
	return []campaign.Blocked{
		{Where: "parser.c:20", Wanted: "port == 443", Nearest: "442 against 443", Reached: true},
		{Where: "parser.c:30", Unreachable: true},
	}, known(target)
}

func (answers) Source(_ context.Context, target string) (*lines.Report, error) {
	return &lines.Report{
		Program: "xdp_parser", Inputs: 2, Functions: []lines.Function{{Name: "xdp_parser", Inputs: 2, State: lines.Covered}},
		Files: []lines.File{{Name: "parser.c", Lines: []lines.Line{
			{Number: 1, Text: "int " + hostile},
			{Number: 2, Text: "\tif (x)", State: lines.Covered, Inputs: 2, Branches: []lines.Branch{{Taken: true, To: "parser.c:3", State: lines.Missed}}},
			{Number: 3, Text: "\t\tlonely();" + strings.Repeat(" long", 60), State: lines.Missed},
		}}},
	}, known(target)
}

func (answers) Graph(_ context.Context, target string, w io.Writer) error {
	if err := known(target); err != nil {
		return err
	}
	_, err := io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg" width="3000" height="500"><rect width="3000" height="500" fill="#fff"/></svg>`)
	return err
}

// serve serves the toy.
func (y *toy) serve(t *testing.T, opts Options) *httptest.Server {
	t.Helper()
	opts.Board, opts.Details = &y.board, answers{}
	if opts.Pace == 0 {
		opts.Pace = time.Millisecond
	}
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		y.end() // or streams would keep it open
		s.CloseClientConnections()
		s.Close()
	})
	return s
}
