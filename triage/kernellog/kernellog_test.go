package kernellog

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// recorded reads a log: records as /dev/kmsg gives them, with lines of further fields.
func recorded(t testing.TB, path string) []Record {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []Record
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, " ") {
			continue
		}
		rec, err := Parse(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		records = append(records, rec)
	}
	return records
}

func harmText(h Harm) string {
	return map[Harm]string{Sound: "sound", Warned: "warned", Harmed: "harmed"}[h]
}

func golden(list []Complaint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d complaints\n", len(list))
	for i := range list {
		c := &list[i]
		fmt.Fprintf(&b, "\n%s\nkind %q, kernel %s, in %q\nhead %s\n", c, c.Kind, harmText(c.Harm), c.Where, c.Head)
		for _, line := range c.Lines {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
	}
	return b.String()
}

// Whole logs of several kernels, with what others logged in between.
func TestRecordedLogs(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.log")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded logs: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".log"), func(t *testing.T) {
			list := Read(recorded(t, path))
			got := golden(list)
			file := strings.TrimSuffix(path, ".log") + ".golden"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s reads as\n%s\nwant\n%s", path, got, want)
			}
			if again := golden(Read(lines(list))); again != got {
				t.Errorf("the lines of the complaints read as\n%s\nwant\n%s", again, got)
			}
		})
	}
}

// lines are records of what complaints consist of.
func lines(list []Complaint) []Record {
	var records []Record
	for i := range list {
		for _, line := range list[i].Lines {
			records = append(records, Record{Text: line})
		}
	}
	return records
}

// A log that is read while the kernel writes it gives each complaint once.
func TestLogIsReadInPieces(t *testing.T) {
	records := recorded(t, "testdata/verifier-6.18.log")
	for cut := range records {
		var r Reader
		total := 0
		for i := range records {
			if i == cut {
				total += len(r.Take())
			}
			r.Add(records[i])
		}
		if total += len(r.Take()); total != 1 {
			t.Errorf("read in two pieces, the second from record %d on: %d complaints, want 1", cut, total)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		want      Record
	}{
		{"kernel", "6,339,5140900,-;NET: Registered PF_INET6\n SUBSYSTEM=net", Record{Level: 6, Sequence: 339, Time: 5140900 * time.Microsecond, Text: "NET: Registered PF_INET6"}},
		{"thread", "4,7,1,-,caller=T812;x", Record{Level: 4, Sequence: 7, Time: time.Microsecond, Caller: "T812", Text: "x"}},
		{"daemon", "30,7,0,c;a;b", Record{Facility: 3, Level: 6, Sequence: 7, Text: "a;b"}},
		{"escapes", `4,7,0,-;rcu: \x091-\x5c\x0a\x1b[2J`, Record{Level: 4, Sequence: 7, Text: "rcu: \t1-\\\n\\x1b[2J"}},
		{"no text", "4,7,0,-;", Record{Level: 4, Sequence: 7}},
	} {
		got, err := Parse(tt.raw)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	for _, raw := range []string{"", "4,7,0,-", "4,7;x", "x,7,0,-;x", "-1,7,0,-;x", "4,x,0,-;x", "4,7,-5,-;x", "99999999999,7,0,-;x"} {
		if got, err := Parse(raw); err == nil {
			t.Errorf("%q is read as %+v", raw, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.log")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var records []Record
		for line := range strings.Lines(text) {
			if rec, err := Parse(line); err == nil {
				records = append(records, rec)
			}
		}
		for _, c := range Read(records) {
			if c.Harm == Sound || c.Kind == "" || c.Head == "" || len(c.Lines) == 0 || len(c.Lines) > maxLines || strings.Contains(c.String(), "\n") {
				t.Errorf("complaint %+v", c)
			}
		}
	})
}

// Reading does not allocate while nothing is wrong.
func TestSoundLogDoesNotAllocate(t *testing.T) {
	var r Reader
	rec := Record{Level: 6, Text: "eth0: renamed from veth1"}
	if n := testing.AllocsPerRun(100, func() { r.Add(rec); r.Take() }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
