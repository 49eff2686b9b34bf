package lines

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// sample has a line in each state.
func sample() *Report {
	r := &Report{
		Program: "fw", Inputs: 9, Edges: Counts{Passed: 3, Total: 4, Removed: 1, Unknown: 1}, Lines: Counts{Passed: 3, Total: 4, Removed: 1, Unknown: 1},
		Functions: []Function{
			{Name: "fw", File: "src/fw.c", Line: 2, Inputs: 9, State: Covered, Edges: Counts{Passed: 3, Total: 4, Removed: 1, Unknown: 1}, Unplaced: 2},
			{Name: "unused", File: "src/fw.c", Line: 8, State: Removed},
			{Name: "nowhere", State: Unknown},
		},
		Notes: []string{},
	}
	r.Files = []File{{Name: "src/fw.c", Path: "testdata/fw.c", Lines: []Line{
		{Number: 1, Text: "#include <a&b>"},
		{Number: 2, Text: "int fw(struct xdp_md *ctx) {", State: Covered, Inputs: 9},
		{Number: 3, Text: "\tif (a < b && c)", State: Partial, Inputs: 4, Branches: []Branch{
			{Site: 0, To: "fw.c:4", State: Covered, Inputs: 4, Reached: true},
			{Site: 0, Taken: true, To: "fw.c:5", State: Missed, Reached: true},
			{Site: 1, To: "fw.c:4", State: Missed},
			{Site: 1, Taken: true, To: "fw.c:6", State: Removed},
		}},
		{Number: 4, Text: "\t\treturn drop(\"<x>\");", State: Covered, Inputs: 1},
		{Number: 5, Text: "\ta = 1;", State: Missed},
		{Number: 6, Text: "\tb = 2;", State: Removed},
		{Number: 7, Text: "\tc = 3;", State: Merged},
		{Number: 8, Text: "\td = 4;", State: Unknown},
		{Number: 9, Text: "}"},
	}}}
	return r
}

func TestGolden(t *testing.T) {
	r := sample()
	for name, write := range map[string]func(io.Writer) error{
		"text": r.WriteText, "html": r.WriteHTML, "lcov": r.WriteLCOV, "go": r.WriteGoProfile, "json": r.WriteJSON,
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "fw."+name)
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("%s is not what the golden file has:\n%s", name, b.Bytes())
			}
		})
	}
}

// TestLCOV holds the tracefile against the rules of geninfo(1): the order of records, and
// totals that agree with them.
func TestLCOV(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteLCOV(&b); err != nil {
		t.Fatal(err)
	}
	if err := checkLCOV(b.String()); err != nil {
		t.Error(err)
	}
	for name, broken := range map[string]string{
		"total of lines":    strings.Replace(b.String(), "LF:4", "LF:5", 1),
		"total of branches": strings.Replace(b.String(), "BRH:1", "BRH:2", 1),
		"no end":            strings.Replace(b.String(), "end_of_record\n", "", 1),
		"count":             strings.Replace(b.String(), "DA:2,9", "DA:2,x", 1),
	} {
		if broken == b.String() || checkLCOV(broken) == nil {
			t.Errorf("a tracefile with a wrong %s passes", name)
		}
	}
}

// checkLCOV is a reader of tracefiles that takes nothing but what it knows.
func checkLCOV(text string) error {
	var sums, totals map[string]int
	known := regexp.MustCompile(`^(?:(TN):\w*|(SF):.+|(FN):[1-9]\d*,.+|(FNDA):(\d+),.+|(BRDA):[1-9]\d*,\d+,\d+,(-|\d+)|(DA):[1-9]\d*,(\d+)|(FNF|FNH|BRF|BRH|LF|LH):(\d+)|end_of_record)$`)
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m := known.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("line %d is no record: %s", n+1, line)
		}
		hit := func(found, passed, count string) {
			sums[found]++
			if count != "-" && count != "0" {
				sums[passed]++
			}
		}
		switch {
		case m[2] != "":
			sums, totals = map[string]int{}, map[string]int{}
		case sums == nil && m[1] == "":
			return fmt.Errorf("line %d is outside of a file: %s", n+1, line)
		case m[4] != "":
			hit("FNF", "FNH", m[5])
		case m[6] != "":
			hit("BRF", "BRH", m[7])
		case m[8] != "":
			hit("LF", "LH", m[9])
		case m[10] != "":
			n, err := strconv.Atoi(m[11])
			if err != nil {
				return err
			}
			totals[m[10]] = n
		case line == "end_of_record":
			for _, name := range []string{"FNF", "FNH", "BRF", "BRH", "LF", "LH"} {
				if sums[name] != totals[name] {
					return fmt.Errorf("%s says %d, there are %d", name, totals[name], sums[name])
				}
			}
			sums = nil
		}
	}
	if sums != nil {
		return fmt.Errorf("the last file has no end_of_record")
	}
	return nil
}

// TestGenhtml has lcov read the tracefile and show what is in it.
func TestGenhtml(t *testing.T) {
	tool, err := exec.LookPath("genhtml")
	if err != nil {
		t.Skip("genhtml of lcov is not installed")
	}
	dir := t.TempDir()
	var b bytes.Buffer
	r := sample()
	if r.Files[0].Path, err = filepath.Abs("testdata/fw.c"); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteLCOV(&b); err != nil {
		t.Fatal(err)
	}
	info := filepath.Join(dir, "fw.info")
	if err := os.WriteFile(info, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "--branch-coverage", "-o", dir, info).CombinedOutput()
	if err != nil {
		t.Fatalf("genhtml: %v\n%s", err, out)
	}
	for _, total := range []string{`lines\.+: 75\.0% \(3 of 4 lines\)`, `functions\.+: 100\.0% \(1 of 1 function\)`, `branches\.+: 33\.3% \(1 of 3 branches\)`} {
		if !regexp.MustCompile(total).Match(out) {
			t.Errorf("genhtml does not say %s:\n%s", total, out)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*", "fw.c.gcov.html"))
	if err != nil || len(pages) != 1 {
		t.Fatalf("genhtml wrote the pages %q (%v) for the source, want one", pages, err)
	}
	page, err := os.ReadFile(pages[0])
	if err != nil {
		t.Fatal(err)
	}
	// The line that nothing passed is shown as such, that of the compiler as no code.
	if !regexp.MustCompile(`lineNoCov[^\n]*a = 1;`).Match(page) || regexp.MustCompile(`line(No)?Cov[^\n]*c = 3;`).Match(page) {
		t.Errorf("the page of the source has not what the tracefile says:\n%s", page)
	}
}

// TestGoTool has the go command read the profile.
func TestGoTool(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	dir := t.TempDir()
	var b bytes.Buffer
	if err := sample().WriteGoProfile(&b); err != nil {
		t.Fatal(err)
	}
	profile, page := filepath.Join(dir, "fw.cov"), filepath.Join(dir, "fw.html")
	if err := os.WriteFile(profile, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "tool", "cover", "-html="+profile, "-o", page).CombinedOutput(); err != nil {
		t.Fatalf("go tool cover: %v\n%s", err, out)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("return drop")) {
		t.Error("the page has no text of the covered line")
	}
}

func TestHostileText(t *testing.T) {
	r := sample()
	evil := "</td><script>\x1b[2J\n\xff"
	r.Program, r.Functions[0].Name, r.Files[0].Name, r.Files[0].Path, r.Files[0].Lines[1].Text = evil, evil, evil, "", evil
	for name, write := range map[string]func(io.Writer) error{"text": r.WriteText, "html": r.WriteHTML, "lcov": r.WriteLCOV, "go": r.WriteGoProfile} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(b.Bytes(), 0x1b) || bytes.IndexByte(b.Bytes(), 0xff) >= 0 || name == "html" && strings.Contains(b.String(), "<script>") {
			t.Errorf("%s passes on what ends its text", name)
		}
		if name == "lcov" {
			if err := checkLCOV(b.String()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestColumns(t *testing.T) {
	for _, tt := range []struct {
		text       string
		begin, end int
	}{{"", 1, 2}, {"a", 1, 2}, {"\tab;", 2, 5}, {"  a b  ", 3, 6}, {"   ", 4, 5}} {
		if begin, end := columns(tt.text); begin != tt.begin || end != tt.end {
			t.Errorf("%q: columns %d to %d, want %d to %d", tt.text, begin, end, tt.begin, tt.end)
		}
	}
}
