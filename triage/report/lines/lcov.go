package lines

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteLCOV writes a tracefile of lcov, for genhtml and for services that take it. Counts
// are numbers of inputs. The format has no word for what was removed, merged or cannot be
// told: such lines and branches are left out, so that nobody looks for their tests.
func (r *Report) WriteLCOV(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range r.Files {
		r.writeFile(b, &r.Files[i])
	}
	return b.Flush()
}

func (r *Report) writeFile(b *bufio.Writer, f *File) {
	fmt.Fprintf(b, "TN:%s\nSF:%s\n", testName(r.Program), clean(f.place()))
	found, hit := 0, 0
	for i := range r.Functions {
		fn := &r.Functions[i]
		if fn.File != f.Name || fn.Line <= 0 || fn.State != Covered && fn.State != Missed {
			continue
		}
		fmt.Fprintf(b, "FN:%d,%s\nFNDA:%d,%s\n", fn.Line, clean(fn.Name), fn.Inputs, clean(fn.Name))
		if found++; fn.State == Covered {
			hit++
		}
	}
	fmt.Fprintf(b, "FNF:%d\nFNH:%d\n", found, hit)
	writeBranches(b, f)
	var c Counts
	for i := range f.Lines {
		if l := &f.Lines[i]; counted(l.State) {
			c.Add(l.State)
			fmt.Fprintf(b, "DA:%d,%d\n", l.Number, l.Inputs)
		}
	}
	fmt.Fprintf(b, "LF:%d\nLH:%d\nend_of_record\n", c.Total, c.Passed)
}

func writeBranches(b *bufio.Writer, f *File) {
	var c Counts
	for i := range f.Lines {
		l := &f.Lines[i]
		if !counted(l.State) {
			continue
		}
		for j := range l.Branches {
			w := &l.Branches[j]
			if !counted(w.State) {
				continue
			}
			taken := "-" // nothing came to the branch
			if w.Reached {
				taken = fmt.Sprint(w.Inputs)
			}
			way := 0
			if w.Taken {
				way = 1
			}
			fmt.Fprintf(b, "BRDA:%d,%d,%d,%s\n", l.Number, w.Site, way, taken)
			c.Add(w.State)
		}
	}
	fmt.Fprintf(b, "BRF:%d\nBRH:%d\n", c.Total, c.Passed)
}

// counted reports whether other tools can be told of a state.
func counted(s State) bool { return s == Covered || s == Partial || s == Missed }

// testName is a program's name in the letters that lcov takes for names of tests.
func testName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}
