package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

// maxSource bounds the size of a source file that is shown.
const maxSource = 8 << 20

// sources finds source files.
type sources struct {
	dirs []string // besides the working directory
}

// newSources looks beside the object and in further directories.
func newSources(object string, dirs []string) *sources {
	return &sources{append([]string{filepath.Dir(object)}, dirs...)}
}

// find returns the lines of a file of which the object names lines, and where it is. A
// file that says something else on a line of which the object has the text is another, or
// another version, and is not taken; note says so.
func (s *sources) find(f *lines.File) (path string, text []string, note string) {
	for _, path := range s.places(f.Name) {
		text, err := readLines(path)
		if err != nil {
			continue
		}
		if at := differs(f, text); at > 0 {
			note = fmt.Sprintf("%s is not what the object was built from: line %d is another; the object's text of lines is shown", path, at)
			continue
		}
		return path, text, ""
	}
	return "", nil, note
}

// places are where a file may be: as it was named when it was compiled, then by the end of
// that name below each directory.
func (s *sources) places(name string) []string {
	list := []string{name}
	for _, dir := range s.dirs {
		list = append(list, filepath.Join(dir, name), filepath.Join(dir, filepath.Base(name)))
	}
	return list
}

func readLines(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSource {
		return nil, fmt.Errorf("reading source %s: no regular file of at most %d bytes", path, maxSource)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSource))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

// differs returns the first line on which text disagrees with the object, 0 when none
// does.
func differs(f *lines.File, text []string) int {
	for i := range f.Lines {
		l := &f.Lines[i]
		if l.Number > len(text) || l.Text != "" && strings.TrimSpace(text[l.Number-1]) != strings.TrimSpace(l.Text) {
			return l.Number
		}
	}
	return 0
}

// fill adds the lines of the source file that have no code, where it is found. Statements
// among them between the first and the last line with code were merged.
func (s *sources) fill(f *lines.File) (note string) {
	path, text, note := s.find(f)
	if path == "" {
		return note
	}
	f.Path = path
	known := f.Lines
	f.Lines = make([]lines.Line, len(text))
	for i, t := range text {
		f.Lines[i] = lines.Line{Number: i + 1, Text: strings.TrimSuffix(t, "\r")}
	}
	for _, l := range known {
		l.Text = f.Lines[l.Number-1].Text
		f.Lines[l.Number-1] = l
	}
	if len(known) > 0 {
		markMerged(f.Lines[known[0].Number-1 : known[len(known)-1].Number])
	}
	return note
}

// statement recognises lines that need code: assignments, calls that are statements, and
// what directs control.
var statement = regexp.MustCompile(`^(\}?\s*(else\s+)?(if|while|for|switch)\s*\(|return\b|goto\b|break;|continue;|\(?\*?\w[\w.\->\[\]]*\)?(\+\+|--);|[^=(]*[^=<>!]=[^=].*;$|\w+\(.*\);$)`)

// markMerged marks statements without code.
func markMerged(list []lines.Line) {
	comment := false
	for i := range list {
		l := &list[i]
		t := strings.TrimSpace(l.Text)
		if before, _, ok := strings.Cut(t, "//"); ok {
			t = strings.TrimSpace(before)
		}
		begins, ends := strings.Contains(t, "/*"), strings.Contains(t, "*/")
		if l.State == lines.None && !comment && !begins && !strings.HasPrefix(t, "#") && statement.MatchString(t) {
			l.State = lines.Merged
		}
		comment = (comment || begins) && !ends
	}
}
