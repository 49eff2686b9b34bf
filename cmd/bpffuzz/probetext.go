package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// text shows a probe as tables, with the kernel's reasons where they are wanted.
func (p *probed) text(reasons bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s on %s, %s\n\n", p.Kernel, p.Machine, count(p.CPUs, "processor"))
	rows := [][]string{{"TYPE", "LOADS", "RUNS", "PACKET", "CONTEXT", "ALSO"}}
	for i := range p.Types {
		t := &p.Types[i]
		rows = append(rows, []string{t.Name, t.Load.short(), t.Run.short(), span(t.MinPacket, t.MaxPacket), t.context(), strings.Join(t.extras(), ", ")})
	}
	writeTable(&b, rows)
	rows = [][]string{{"FEATURE", "WORKS", "FOR"}}
	for i := range p.Features {
		f := &p.Features[i]
		rows = append(rows, []string{f.Name, f.short(), p.use(f)})
	}
	writeTable(&b, rows)
	rows = [][]string{{"CAPABILITY", "HELD", "FOR"}}
	for _, c := range p.Capabilities {
		held := "no"
		if c.Have {
			held = "yes"
		}
		rows = append(rows, []string{c.Name, held, c.For})
	}
	writeTable(&b, rows)
	if reasons {
		p.writeReasons(&b)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// writeTable writes rows in columns, and an empty line.
func writeTable(b *strings.Builder, rows [][]string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	for line := range strings.Lines(text.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("\n")
}

// short is the answer in a table.
func (a *answer) short() string {
	if a.State == "unknown" {
		return "?"
	}
	return a.State
}

// use says what a feature is for, or what it costs that it is missing.
func (p *probed) use(f *probedFeature) string {
	switch {
	case f.State == "no":
		return f.Without
	case f.Name == "live-frames" && p.LiveMax > 0:
		return fmt.Sprintf("%s (up to %d bytes, %d at once)", f.For, p.LiveMax, p.LiveBatch)
	}
	return f.For
}

func (p *probed) writeReasons(b *strings.Builder) {
	write := func(name, what string, a answer) {
		if a.Why != "" {
			fmt.Fprintf(b, "%s: %s: %s\n", name, what, a.Why)
		}
	}
	for i := range p.Types {
		t := &p.Types[i]
		write(t.Name, "load", t.Load)
		write(t.Name, "run", t.Run)
		if len(t.Fields) > 0 {
			fmt.Fprintf(b, "%s: context fields: %s\n", t.Name, strings.Join(t.Fields, ", "))
		}
		for _, name := range t.flags {
			write(t.Name, "flag", t.Flags[name])
		}
	}
	for _, f := range p.Features {
		write(f.Name, "feature", f.answer)
	}
}

// context says what a type takes: fields, or a size where it is all the input.
func (t *probedType) context() string {
	if n := len(t.Fields); n > 0 {
		return count(n, "field")
	}
	return span(t.MinContext, t.MaxContext)
}

// extras are what a type takes besides a packet and a context.
func (t *probedType) extras() []string {
	var all []string
	if t.Frags > 0 {
		all = append(all, fmt.Sprintf("frags up to %d", t.Frags))
	}
	if t.Meta > 0 {
		all = append(all, fmt.Sprintf("metadata up to %d", t.Meta))
	}
	for _, name := range t.flags {
		if t.Flags[name].State == "yes" {
			all = append(all, name)
		}
	}
	return all
}

// span reads "14-3520", "-" for nothing.
func span(from, to int) string {
	if to == 0 {
		return "-"
	}
	return fmt.Sprintf("%d-%d", from, to)
}
