package lines

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// WriteGoProfile writes a cover profile of Go in mode count: a block for each line, its
// counts are numbers of inputs. Files that were found are named so that
// "go tool cover -html" finds them. What was removed, merged or cannot be told is left out.
func (r *Report) WriteGoProfile(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "mode: count")
	for i := range r.Files {
		f := &r.Files[i]
		name := profileName(f)
		for j := range f.Lines {
			l := &f.Lines[j]
			if !counted(l.State) {
				continue
			}
			begin, end := columns(l.Text)
			fmt.Fprintf(b, "%s:%d.%d,%d.%d 1 %d\n", name, l.Number, begin, l.Number, end, l.Inputs)
		}
	}
	return b.Flush()
}

// profileName is a file's name without the characters that end one in a profile.
func profileName(f *File) string {
	name := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return '_'
		}
		return r
	}, clean(f.place()))
	if f.Path != "" && !filepath.IsAbs(name) && !strings.HasPrefix(name, ".") {
		name = "./" + name // else it would be looked for as a package
	}
	return name
}

// columns are where a line's text begins, and the column behind its end, in bytes from 1.
func columns(text string) (begin, end int) {
	trimmed := strings.TrimLeft(text, " \t")
	begin = len(text) - len(trimmed) + 1
	return begin, max(begin+len(strings.TrimRight(trimmed, " \t\r")), begin+1)
}
