package campaign

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPastIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "campaign.json")
	if p, err := ReadPast(path); p != nil || err != nil {
		t.Fatalf("without a file: %+v, error %v", p, err)
	}
	past := NewPast(1<<64 - 1)
	past.Begin(PR, time.Hour, time.Unix(1000, 0).UTC(), false)
	past.Session.Used = 12.5
	*past.Target("a") = TargetPast{Turns: 3, Used: 1.5, Estimate: 0.25, Credit: -7, Execs: 1 << 40, Checked: true, Before: []string{"k"}, Listed: true, Problem: "p"}
	b, err := json.Marshal(past)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := ReadPast(path)
	if err != nil || !reflect.DeepEqual(past, again) {
		t.Errorf("%+v became %+v, error %v", past, again, err)
	}
}

func TestPastOfOthers(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"damaged", "{", "remove it to begin anew"},
		{"empty", "", "remove it to begin anew"},
		{"another version", `{"version":9}`, "it has version 9, not 1; use the bpffuzz that wrote it"},
		{"nothing of a target", `{"version":1,"targets":{"a":null}}`, ""},
		{"nonsense", `{"version":1,"targets":{"a":{"turns":-3,"used_seconds":-1,"gain_per_second":-5}}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "campaign.json")
			if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			p, err := ReadPast(path)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := p.Target("a").share(); s.Turns != 0 || s.Used != 0 || s.Estimate != 0 {
				t.Errorf("its share is %+v", s)
			}
		})
	}
}

func TestSessions(t *testing.T) {
	now := time.Unix(5000, 0)
	for _, test := range []struct {
		name     string
		last     Session
		mode     Mode
		duration time.Duration
		anew     bool
		goesOn   bool
	}{
		{"the first", Session{}, Nightly, time.Hour, false, false},
		{"stopped", Session{Mode: Nightly, Started: now, Used: 60}, Nightly, time.Hour, false, true},
		{"stopped, without a limit", Session{Mode: Nightly, Started: now, Used: 60}, Nightly, 0, false, true},
		{"ended", Session{Mode: Nightly, Started: now, Used: 60, Ended: true}, Nightly, time.Hour, false, false},
		{"another mode", Session{Mode: Nightly, Started: now, Used: 60}, PR, time.Hour, false, false},
		{"less time than it had", Session{Mode: Nightly, Started: now, Used: 60}, Nightly, time.Minute, false, false},
		{"anew", Session{Mode: Nightly, Started: now, Used: 60}, Nightly, time.Hour, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			past := NewPast(1)
			past.Session = test.last
			*past.Target("a") = TargetPast{Turns: 4, Checked: true, Listed: true, Before: []string{"k"}}
			used := past.Begin(test.mode, test.duration, now, test.anew)
			a := past.Target("a")
			if (used > 0) != test.goesOn || a.Listed != test.goesOn || a.Checked != test.goesOn || (a.Before != nil) != test.goesOn {
				t.Errorf("it goes on behind %s with %+v", used, a)
			}
			if a.Turns != 4 || past.Session.Mode != test.mode || past.Session.Ended {
				t.Errorf("the session is %+v, the target %+v", past.Session, a)
			}
		})
	}
}
