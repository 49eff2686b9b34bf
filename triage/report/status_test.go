package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func statuses() []*Status {
	s := func(key string, state State, known bool, failing int) *Status {
		return &Status{
			Key: key, Kind: "verdict", Title: "returned <70> & \"more\"", Program: "fw", Type: "xdp", Count: 1,
			State: state, Known: known, Failing: failing, Runs: 10, File: "a b.c", Line: 12, Command: "bpffuzz replay " + key,
		}
	}
	all := []*Status{
		s("a", Open, false, 0), s("b", Fixed, false, 0), s("c", Flaky, false, 3), s("d", Failing, true, 10),
		s("e", Changed, false, 0), s("f", Unchecked, false, 0),
	}
	all[0].Count, all[0].File, all[0].Command = 7, "", ""
	all[4].Kind, all[4].Detail = "invariant-small", "errno objects: 22"
	return all
}

func TestFormats(t *testing.T) {
	sarif := func(all []*Status) ([]byte, error) { return SARIF("v1", all) }
	for name, write := range map[string]func([]*Status) ([]byte, error){"findings.sarif": sarif, "findings.xml": JUnit} {
		t.Run(name, func(t *testing.T) {
			got, err := write(statuses())
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s", got)
			}
		})
	}
	empty, err := sarif(nil)
	if err != nil || !bytes.Contains(empty, []byte(`"results": []`)) || !json.Valid(empty) {
		t.Errorf("SARIF of no findings: %s, %v", empty, err)
	}
	b, err := JUnit(nil)
	if err == nil {
		err = xml.Unmarshal(b, new(struct{}))
	}
	if err != nil {
		t.Errorf("JUnit of no findings: %s, %v", b, err)
	}
}

func TestKnownIsKept(t *testing.T) {
	b, err := JSON(simple(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	known, err := SetKnown(b, true)
	if err == nil {
		known, err = Recount(known, 4)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadStatus(known)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Known || s.Counts() || s.Count != 5 || s.File != "arp.c" || s.Line != 23 || s.Text() != "known" {
		t.Errorf("marked and counted: %+v", s)
	}
	if again, err := SetKnown(mustJSON(t, simple()), false); err != nil || !bytes.Equal(again, mustJSON(t, simple())) {
		t.Errorf("a mark that is not there, taken away: %v\n%s", err, again)
	}
}

func TestBadReports(t *testing.T) {
	var version *VersionError
	if _, err := ReadStatus([]byte(`{"version": 2, "key": 5}`)); !errors.As(err, &version) || version.Version != 2 {
		t.Errorf("a newer version: %v", err)
	}
	for _, bad := range []string{"", "{", "[]", `{"version": 1}`, `{"version": 1, "key": 5}`} {
		if s, err := ReadStatus([]byte(bad)); err == nil || errors.As(err, &version) && version.Version == 2 {
			t.Errorf("%q: %+v, %v", bad, s, err)
		}
	}
}

func TestPlace(t *testing.T) {
	for text, want := range map[string]int{"a.c:12": 12, "a:b.c:1": 1, "a.c": 0, ":3": 0, "a.c:": 0, "a.c:-1": 0, "": 0} {
		if file, line := place(text); line != want || (file == "") != (want == 0) {
			t.Errorf("%q: %q, %d, want line %d", text, file, line, want)
		}
	}
}
