package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus/pcap"
)

// text shows what an input did to people.
func (r *replayed) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Name)
	for i := range r.Steps {
		fmt.Fprintf(&b, "step %d: %s\n", i, r.Steps[i].result())
		r.Steps[i].write(&b)
	}
	if len(r.Events) > 0 {
		b.WriteString("events\n")
		writeIndented(&b, strings.Join(r.Events, "\n")+"\n")
	}
	b.WriteString("oracles\n")
	width := 0
	for _, o := range r.Oracles {
		width = max(width, len(o.Name))
	}
	for _, o := range r.Oracles {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, o.Name, o.text(r.Runs))
	}
	return b.String()
}

func (o *opinion) text(runs int) string {
	switch {
	case o.Failing == 0 && runs == 1:
		return "ok"
	case o.Failing == 0:
		return fmt.Sprintf("ok in %d runs", runs)
	case runs == 1:
		return "FAILS: " + o.Reason
	}
	return fmt.Sprintf("FAILS in %d of %d runs: %s", o.Failing, runs, o.Reason)
}

func (s *replayedStep) result() string {
	switch {
	case s.Errno == int(syscall.ENODATA):
		return "not run, the event did not reach the program"
	case s.Errno != 0:
		return fmt.Sprintf("not run, BPF_PROG_RUN answered %d (%s)", s.Errno, s.errno)
	}
	text := fmt.Sprintf("returned %d (%#x)", int32(s.Ret), s.Ret)
	if s.Verdict != "" {
		text = fmt.Sprintf("%s (%d)", s.Verdict, int32(s.Ret))
	}
	if s.timed {
		text += fmt.Sprintf(", %d ns", s.Duration)
	}
	if s.Insns != nil {
		text += fmt.Sprintf(", %d instructions", *s.Insns)
	}
	return text
}

func (s *replayedStep) write(b *strings.Builder) {
	if s.Fault != nil {
		fmt.Fprintf(b, "  %s\n", s.Fault.text)
	}
	switch {
	case len(s.given) > 0:
		fmt.Fprintf(b, "  context in: %s\n", contextText(s.given))
	case s.contextGiven:
		b.WriteString("  context in: 0 in each field\n")
	}
	if s.metaIn > 0 {
		fmt.Fprintf(b, "  metadata in: %d bytes\n", s.metaIn)
	}
	if s.form != pcap.Nothing {
		fmt.Fprintf(b, "  %s in\n", s.form.Noun())
		writeIndented(b, pcap.Text(s.in, s.form))
	}
	if s.Errno == 0 && s.form != pcap.Nothing && !s.noResult {
		s.writeOutput(b)
	}
	if text := contextText(s.context); text != "" {
		fmt.Fprintf(b, "  context out: %s\n", text)
	}
	for _, cost := range s.Costs {
		fmt.Fprintf(b, "  %s\n", cost)
	}
	s.writeLines(b)
}

func (s *replayedStep) writeOutput(b *strings.Builder) {
	out, noun := s.out[s.metaOut:], s.form.Noun()
	if len(out) == 0 && len(s.in) > 0 {
		fmt.Fprintf(b, "  %s out: none\n", noun)
		return
	}
	if bytes.Equal(s.in, out) {
		fmt.Fprintf(b, "  %s out: the same\n", noun)
		return
	}
	if s.form == pcap.Payload {
		fmt.Fprintf(b, "  %s out\n", noun)
		writeIndented(b, pcap.Text(out, s.form))
		return
	}
	if s.sameLayers {
		fmt.Fprintf(b, "  packet out: %d bytes, changed are\n", len(out))
		for _, c := range s.Changes {
			fmt.Fprintf(b, "    %-20s %s -> %s\n", c.Field, c.Before, c.After)
		}
		return
	}
	fmt.Fprintf(b, "  packet out: %d bytes, %s -> %s\n", len(out), s.otherLayers[0], s.otherLayers[1])
	writeIndented(b, pcap.Text(out, s.form))
}

// contextText leaves out what the length of the packet says as well.
func contextText(values []contextValue) string {
	parts := make([]string, 0, len(values))
	for _, v := range values {
		if v.name != "data" && v.name != "data_end" {
			parts = append(parts, fmt.Sprintf("%s %d", v.name, v.value))
		}
	}
	return strings.Join(parts, ", ")
}

func writeIndented(b *strings.Builder, text string) {
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
}

// lineWidth is where lists of source lines are broken.
const lineWidth = 96

// writeLines shows lines of one file as "file.c:12 14 15".
func (s *replayedStep) writeLines(b *strings.Builder) {
	if len(s.Lines) == 0 {
		return
	}
	title := "lines, each where it was passed last"
	if !s.Ordered {
		title = "lines, in no order: the kernel does not accept the program with a trace"
	}
	b.WriteString("  " + title + "\n")
	file, width := "", 0
	for _, place := range s.Lines {
		name, line, _ := strings.Cut(place, ":")
		word := " " + line
		if name != file || width+len(word) >= lineWidth {
			if width > 0 {
				b.WriteString("\n")
			}
			word, width = "    "+place, 0
		}
		b.WriteString(word)
		file, width = name, width+len(word)
	}
	b.WriteString("\n")
}
