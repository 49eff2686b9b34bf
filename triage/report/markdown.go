package report

import (
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

// Markdown returns a finding as a text for issue trackers: fields that matter are bold,
// bytes that make the difference are between brackets.
func Markdown(f *triage.Finding, opts Options) string { return markdownOf(f, opts, nil) }

func markdownOf(f *triage.Finding, opts Options, r *Recipe) string {
	p := newPage(f, opts, r)
	var s strings.Builder
	fmt.Fprintf(&s, "# %s\n\n", plain(p.Oracle+": "+p.Title))
	fmt.Fprintf(&s, "| | |\n|---|---|\n| key | %s |\n| program | %s |\n| reliability | %s |\n| input | %s |\n",
		plain(p.Key), plain(p.Program+" ("+p.Type+")"), plain(p.Reliability), plain(p.Input))
	if p.Command != "" {
		fmt.Fprintf(&s, "\nReplay it with\n\n%s", fenced(p.Command))
	}
	list(&s, "Notes", p.Notes)
	list(&s, "What matters", p.Matters)
	if p.Cut != "" {
		fmt.Fprintf(&s, "\n%s\n", plain(p.Cut))
	}
	if p.Nearest != "" {
		fmt.Fprintf(&s, "\nNearest input that passes: %s\n", plain(p.Nearest))
	}
	for i := range p.Others {
		markdownFields(&s, &p.Others[i])
	}
	block(&s, "Maps before the first step", p.Maps)
	for i := range p.Steps {
		markdownStep(&s, &p.Steps[i])
	}
	block(&s, "Events", p.Events)
	block(&s, "Path, each edge where it was passed last", p.Path)
	if len(p.Exports) > 0 {
		s.WriteString("\n## Exports\n\n")
	}
	for _, e := range p.Exports {
		what := "reproduces it"
		if !e.Reproduces {
			what = "does not reproduce it: " + plain(e.Why)
		}
		fmt.Fprintf(&s, "- `%s` %s\n", e.File, what)
	}
	return s.String()
}

func markdownStep(s *strings.Builder, p *pageStep) {
	fmt.Fprintf(s, "\n## Step %d: %s\n", p.Number, plain(p.Result))
	for _, line := range []struct{ title, text string }{{"", p.Fault}, {"context in: ", p.Given}, {"context out: ", p.Gave}} {
		if line.text != "" {
			fmt.Fprintf(s, "\n%s%s\n", line.title, plain(line.text))
		}
	}
	for i := range p.Layers {
		markdownFields(s, &p.Layers[i])
	}
	if len(p.Dump) > 0 {
		fmt.Fprintf(s, "\n%s", fenced(dumpText(p.Dump)))
	}
	if len(p.Other) > 0 {
		fmt.Fprintf(s, "\nThe nearest one that passes:\n\n%s", fenced(dumpText(p.Other)))
	}
	if p.Out != "" {
		fmt.Fprintf(s, "\n%s\n", plain(p.Out))
	}
	if p.OutText != "" {
		fmt.Fprintf(s, "\n%s", fenced(p.OutText))
	}
}

// markdownFields writes a layer as one line.
func markdownFields(s *strings.Builder, d *decodedLayer) {
	if len(d.Fields) == 0 {
		return
	}
	parts := make([]string, 0, len(d.Fields))
	for _, f := range d.Fields {
		text := plain(f.Name + " " + f.Value)
		if f.Matters {
			text = "**" + text + "** (passes with " + plain(f.Passes) + ")"
		}
		parts = append(parts, text)
	}
	fmt.Fprintf(s, "\n%s: %s\n", plain(d.Name), strings.Join(parts, ", "))
}

// dumpText writes a dump with brackets around the bytes that differ in the nearest input
// that passes.
func dumpText(lines []dumpLine) string {
	var s strings.Builder
	for i := range lines {
		s.WriteString(lines[i].Offset + " ")
		for _, b := range lines[i].Bytes {
			if b.Changed {
				s.WriteString(" [" + b.Hex + "]")
				continue
			}
			s.WriteString(" " + b.Hex)
		}
		s.WriteString("\n")
	}
	return s.String()
}

func list(s *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(s, "\n## %s\n\n", title)
	for _, line := range lines {
		fmt.Fprintf(s, "- %s\n", plain(line))
	}
}

func block(s *strings.Builder, title string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(s, "\n## %s\n\n%s", title, fenced(strings.Join(lines, "\n")))
	}
}

// fenced writes text as it is, between fences that it does not have in it.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}

// plain escapes what Markdown and HTML would take for more than text.
func plain(text string) string {
	var s strings.Builder
	for _, r := range oneLine(text) {
		if strings.ContainsRune("\\`*_[]<>|#&~", r) {
			s.WriteByte('\\')
		}
		s.WriteRune(r)
	}
	return s.String()
}
