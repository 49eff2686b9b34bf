package lines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for people: how many inputs pass each line, and what of a
// line was not passed below it.
func (r *Report) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s: coverage by %s\n  edges %s\n  lines %s\n", clean(r.Program), plural(r.Inputs, "input"), r.Edges, r.Lines)
	for i := range r.Functions {
		r.Functions[i].writeText(b)
	}
	for i := range r.Files {
		r.Files[i].writeText(b)
	}
	return b.Flush()
}

func (f *Function) writeText(b *bufio.Writer) {
	name := strings.TrimSpace(clean(f.Name) + " " + placeText(f.File, f.Line))
	fmt.Fprintf(b, "function %s: %s, edges %s\n", name, f.entered(), f.Edges)
	if f.Unplaced > 0 {
		fmt.Fprintf(b, "  %s without a line: the compiler merged the code of several\n", plural(f.Unplaced, "instruction"))
	}
}

func (f *Function) entered() string {
	if f.State == Covered {
		return "entered by " + plural(f.Inputs, "input")
	}
	return f.State.String()
}

func (f *File) writeText(b *bufio.Writer) {
	fmt.Fprintf(b, "\n%s: lines %s\n", clean(f.place()), f.count())
	for i := range f.Lines {
		l := &f.Lines[i]
		fmt.Fprintf(b, "%8s %5d  %s\n", l.mark(), l.Number, clean(l.Text))
		for j := range l.Branches {
			if w := &l.Branches[j]; w.State != Covered {
				fmt.Fprintf(b, "%15s -> %s (%s): %s\n", "", clean(w.To), w.kind(), w.State)
			}
		}
	}
}

// mark is what stands in front of a line: how many inputs passed it, or why none did.
func (l *Line) mark() string {
	switch l.State {
	case Covered:
		return fmt.Sprint(l.Inputs)
	case Partial:
		return fmt.Sprintf("%d*", l.Inputs)
	case Missed:
		return "missed"
	case Removed:
		return "removed"
	case Unknown:
		return "?"
	case Merged:
		return "merged"
	case None:
	}
	return ""
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing coverage as JSON: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
