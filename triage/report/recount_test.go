package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

func TestRecount(t *testing.T) {
	f := &triage.Finding{Key: "verdict-x-1", Oracle: "verdict", Input: &corpus.Input{Steps: []corpus.Step{{Packet: []byte{1, 2}}}}, Count: 1, Notes: []string{"a note"}}
	once, err := JSON(f, Options{Command: "replay FINDING"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Recount(once, 41)
	if err != nil {
		t.Fatal(err)
	}
	if f.Count = 42; !bytes.Equal(got, mustJSON(t, f)) {
		t.Errorf("counted 41 more:\n%s", got)
	}
	for name, bad := range map[string]string{
		"no JSON": "{", "another version": `{"version": 99}`, "something else": `{"version": "x"}`,
	} {
		if _, err := Recount([]byte(bad), 1); err == nil || !strings.Contains(err.Error(), "counting a finding") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func mustJSON(t *testing.T, f *triage.Finding) []byte {
	t.Helper()
	b, err := JSON(f, Options{Command: "replay FINDING"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUnconfirmedReport(t *testing.T) {
	failing := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 14)}}}
	u := &triage.Unconfirmed{
		Oracle: "verdict", Title: "step 0 returned 70", Program: "fw", Type: "xdp", Failing: failing,
		Batch: &corpus.Input{Steps: append(make([]corpus.Step, 7), failing.Steps...)}, Notes: []string{"a note"},
	}
	files, err := UnconfirmedRenderer(Options{Command: "replay FINDING", Path: func(key string) string { return "out/" + key }})(u)
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["report.txt"])
	for _, want := range []string{"verdict: step 0 returned 70", "unconfirmed: ", "14 bytes, 8 steps", "replay out/" + u.Key(), "- a note"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if json := string(files["report.json"]); !strings.Contains(json, `"confirmed": false`) || !strings.Contains(json, `"batch_steps": 8`) {
		t.Errorf("the report as JSON:\n%s", json)
	}
	in, err := corpus.UnmarshalFile(files["failing"])
	if err != nil || !in.Equal(failing) {
		t.Errorf("the failing input: %v, %v", in, err)
	}
}
