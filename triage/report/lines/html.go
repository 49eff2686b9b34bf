package lines

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math/bits"
)

// style is the page's. States differ in the mark in front of the line too, not in colour
// alone.
const style = `body{font:14px/1.4 sans-serif;margin:2em;color:#1f2328}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}
table{border-collapse:collapse}td,th{padding:1px 10px;text-align:left;vertical-align:top}
td.n{text-align:right;color:#59636e;font-variant-numeric:tabular-nums}
table.source td{font-family:monospace;white-space:pre;tab-size:8}
.covered0{background:#effaf1}.covered1{background:#dafbe1}.covered2{background:#b4f1c0}.covered3{background:#8ee5a0}
.partial{background:#fff8c5}.missed{background:#ffebe9}.removed{background:#eaeef2;text-decoration:line-through}
.unknown{background:#eaeef2}.merged{background:#ddf4ff}
.way{color:#cf222e}.way.removed{color:#59636e}
`

// WriteHTML writes one page that needs nothing else: the functions, and each file with its
// lines the darker the more inputs pass them.
func (r *Report) WriteHTML(w io.Writer) error {
	b := bufio.NewWriter(w)
	title := html.EscapeString("Coverage of " + clean(r.Program))
	fmt.Fprintf(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>%s</title>\n<style>\n%s</style>\n</head>\n<body>\n", title, style)
	fmt.Fprintf(b, "<h1>%s</h1>\n<p>by %s: edges %s; lines %s</p>\n", title, plural(r.Inputs, "input"), r.Edges, r.Lines)
	writeLegend(b)
	r.writeFunctions(b)
	for i := range r.Files {
		r.Files[i].writeHTML(b, i)
	}
	fmt.Fprint(b, "</body>\n</html>\n")
	return b.Flush()
}

func writeLegend(b *bufio.Writer) {
	fmt.Fprint(b, "<p>")
	for s := Covered; s <= Merged; s++ {
		fmt.Fprintf(b, "<span class=\"%s\">&nbsp;%s&nbsp;</span> ", s.class(1, 1), s)
	}
	fmt.Fprint(b, "</p>\n")
}

func (r *Report) writeFunctions(b *bufio.Writer) {
	fmt.Fprint(b, "<h2>Functions</h2>\n<table>\n<tr><th>function</th><th>at</th><th>inputs</th><th>edges</th><th>instructions without a line</th></tr>\n")
	for i := range r.Functions {
		f := &r.Functions[i]
		fmt.Fprintf(b, "<tr class=\"%s\"><td>%s</td><td>%s</td><td class=\"n\">%d</td><td>%s</td><td class=\"n\">%d</td></tr>\n",
			f.State.class(f.Inputs, r.Inputs), r.link(f), html.EscapeString(placeText(f.File, f.Line)), f.Inputs, f.Edges, f.Unplaced)
	}
	fmt.Fprint(b, "</table>\n")
}

// link leads from a function to its line.
func (r *Report) link(f *Function) string {
	name := html.EscapeString(clean(f.Name))
	for i := range r.Files {
		if r.Files[i].Name == f.File && f.Line > 0 {
			return fmt.Sprintf("<a href=\"#f%dl%d\">%s</a>", i, f.Line, name)
		}
	}
	return name
}

func (f *File) writeHTML(b *bufio.Writer, number int) {
	most := 0
	for i := range f.Lines {
		most = max(most, f.Lines[i].Inputs)
	}
	fmt.Fprintf(b, "<h2>%s</h2>\n<p>lines %s</p>\n<table class=\"source\">\n", html.EscapeString(clean(f.place())), f.count())
	for i := range f.Lines {
		l := &f.Lines[i]
		fmt.Fprintf(b, "<tr id=\"f%dl%d\" class=\"%s\" title=\"%s\"><td class=\"n\">%s</td><td class=\"n\">%d</td><td>%s", number, l.Number,
			l.State.class(l.Inputs, most), l.State, l.mark(), l.Number, html.EscapeString(clean(l.Text)))
		for j := range l.Branches {
			if w := &l.Branches[j]; w.State != Covered {
				fmt.Fprintf(b, "\n  <span class=\"way %s\">-&gt; %s (%s): %s</span>", w.State.class(0, 1), html.EscapeString(clean(w.To)), w.kind(), w.State)
			}
		}
		fmt.Fprint(b, "</td></tr>\n")
	}
	fmt.Fprint(b, "</table>\n")
}

// class is the style of a state. Covered lines have four shades, by powers of two of the
// share of the most that any line has.
func (s State) class(inputs, most int) string {
	switch s {
	case Covered:
		return fmt.Sprintf("covered%d", max(0, 3-(bits.Len(uint(most))-bits.Len(uint(inputs)))))
	case Partial:
		return "partial"
	case Missed:
		return "missed"
	case Removed:
		return "removed"
	case Unknown:
		return "unknown"
	case Merged:
		return "merged"
	case None:
	}
	return "none"
}
