package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

func TestMergedStatements(t *testing.T) {
	for text, want := range map[string]bool{
		"return 1;": true, "\tif (a)": true, "} else if (b) {": true, "x = y;": true, "p->n++;": true, "log(x);": true,
		"__u32 n = 0; /* zero */": false, "a = 1; // one": true, "while (n--) {": true, "goto out;": true, "break;": true,
		"": false, "{": false, "}": false, "} else {": false, "int n;": false, "case 1:": false, "// x = 1;": false,
		"#define A(x) x = 1;": false, "out:": false, ".data = 1,": false, "if_name[2]": false,
	} {
		list := []lines.Line{{Text: text}}
		markMerged(list)
		if got := list[0].State == lines.Merged; got != want {
			t.Errorf("%q counts as a statement: %v, want %v", text, got, want)
		}
	}
	list := []lines.Line{{Text: "/* x = 1;"}, {Text: "y = 2;"}, {Text: "*/"}, {Text: "z = 3;"}, {Text: "a = 4;", State: lines.Missed}}
	markMerged(list)
	for i, want := range []lines.State{lines.None, lines.None, lines.None, lines.Merged, lines.Missed} {
		if list[i].State != want {
			t.Errorf("line %d is %s, want %s", i, list[i].State, want)
		}
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("same.c", "int f(void)\n{\n\ta = 1;\n\treturn 2;\n}\n")
	write("other.c", "int g(void)\n{\n\treturn 3;\n}\n")
	write("short.c", "int f(void)\n")
	if err := os.Mkdir(filepath.Join(dir, "dir.c"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		lines int
		note  string
	}{
		"src/same.c": {5, ""}, "src/other.c": {2, "line 1 is another"}, "src/short.c": {2, "line 4 is another"},
		"src/none.c": {2, ""}, "dir.c": {2, ""},
	} {
		f := &lines.File{Name: name, Lines: []lines.Line{{Number: 1, Text: "int f(void)", State: lines.Covered}, {Number: 4, Text: "return 2;", State: lines.Missed}}}
		note := newSources(filepath.Join(dir, "fw.o"), nil).fill(f)
		if len(f.Lines) != tt.lines || !strings.Contains(note, tt.note) || (note == "") != (tt.note == "") {
			t.Errorf("%s: %d lines, note %q; want %d and %q", name, len(f.Lines), note, tt.lines, tt.note)
		}
		if tt.lines == 5 && (f.Lines[2].State != lines.Merged || f.Lines[3].State != lines.Missed) {
			t.Errorf("%s: line 3 is %s, line 4 %s", name, f.Lines[2].State, f.Lines[3].State)
		}
	}
}
