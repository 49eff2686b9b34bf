package report

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/triage"
)

// maxPath is how many edges of a path are shown; the last ones matter most.
const maxPath = 100

// Text returns a finding for people: what is wrong, how to see it again, the
// minimised input with what it gave, the path, and notes.
func Text(f *triage.Finding, opts Options) string { return textOf(f, opts, nil) }

// textOf is Text with what the exports of a recipe can do.
func textOf(f *triage.Finding, opts Options, r *Recipe) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s\n\n", f.Oracle, f.Title)
	fmt.Fprintf(&s, "key          %s\n", f.Key)
	fmt.Fprintf(&s, "program      %s (%s)\n", f.Program, f.Type)
	fmt.Fprintf(&s, "reliability  fails in %d of %d runs from the initial state\n", f.Reliability, f.Runs)
	fmt.Fprintf(&s, "input        %s", inputSize(f.Input))
	if f.Original != nil && !f.Original.Equal(f.Input) {
		fmt.Fprintf(&s, ", minimised from %s in %d executions", inputSize(f.Original), f.Executions)
	}
	s.WriteString("\n")
	switch {
	case !hasPacket(f.Input):
		s.WriteString("capture      none, since the input has no packets\n")
	case f.Payload:
		s.WriteString("capture      of link type USER0, since the program takes payload without headers\n")
	}
	if command := opts.command(f); command != "" {
		fmt.Fprintf(&s, "\nreplay it with\n\n    %s\n", command)
	}
	writeNotes(&s, f.Notes)
	writeStudy(&s, f)
	writeExports(&s, r)
	writeBody(&s, f)
	return s.String()
}

// Body returns the part of Text that shows the input, what it gave, and the path.
func Body(f *triage.Finding) string {
	var s strings.Builder
	writeBody(&s, f)
	return strings.TrimPrefix(s.String(), "\n")
}

func writeBody(s *strings.Builder, f *triage.Finding) {
	writeMaps(s, f.Input.Maps, f.Entries)
	for i := range f.Input.Steps {
		writeStep(s, f, i)
	}
	writeEvents(s, f.Events)
	writePath(s, f.Path)
}

func inputSize(in *corpus.Input) string {
	return fmt.Sprintf("%s, %s", count(in.Len(), "byte"), count(len(in.Steps), "step"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeNotes(s *strings.Builder, notes []string) {
	if len(notes) == 0 {
		return
	}
	s.WriteString("\nnotes\n")
	for _, n := range notes {
		fmt.Fprintf(s, "  - %s\n", n)
	}
}

// writeMaps shows map entries, by field where that is known.
func writeMaps(s *strings.Builder, entries []corpus.MapEntry, named []triage.EntrySummary) {
	if len(entries) == 0 {
		return
	}
	s.WriteString("\nmaps before the first step\n")
	for i, e := range entries {
		fmt.Fprintf(s, "  %s[%x] = %x\n", e.Map, e.Key, e.Value)
		if i < len(named) {
			writeFields(s, "  key: ", named[i].Key)
			writeFields(s, "  value: ", named[i].Value)
		}
	}
}

func writeStep(s *strings.Builder, f *triage.Finding, i int) {
	in := &f.Input.Steps[i]
	fmt.Fprintf(s, "\nstep %d", i)
	if i >= len(f.Steps) {
		s.WriteString(": did not run\n")
		writeInput(s, in, nil, formOf(f))
		return
	}
	out := &f.Steps[i]
	fmt.Fprintf(s, ": %s\n", result(out))
	writeFault(s, in.Fault, out.Faulted)
	writeInput(s, in, out.Given, formOf(f))
	writeFields(s, "context out: ", out.Gave)
	if out.Errno == 0 && !out.NoResult {
		writeOutput(s, in, out, formOf(f))
	}
}

func result(out *triage.StepSummary) string {
	switch {
	case out.Errno == syscall.ENODATA:
		return "the event did not reach the program"
	case out.Errno != 0:
		return fmt.Sprintf("BPF_PROG_RUN answered %d (%s)", int(out.Errno), out.Errno.Error())
	case out.Verdict != "":
		return fmt.Sprintf("%s (%d)", out.Verdict, int32(out.Ret))
	}
	return fmt.Sprintf("returned %d (%#x)", int32(out.Ret), out.Ret)
}

// writeInput shows the packet and whatever of the step is not its default; given are
// the fields of its context.
func writeInput(s *strings.Builder, in *corpus.Step, given []triage.FieldValue, form pcap.Form) {
	writeBytes(s, "metadata", in.Meta)
	switch {
	case len(given) > 0:
		writeFields(s, "context in: ", given)
	case len(in.Context) > 0 && len(bytes.Trim(in.Context, "\x00")) == 0:
		s.WriteString("  context in: 0 in each field\n")
	default:
		writeBytes(s, "context", in.Context)
	}
	writeBytes(s, "chance", in.Chance)
	if in.CPU != 0 || in.Flags != 0 {
		fmt.Fprintf(s, "  cpu %d, flags %#x\n", in.CPU, in.Flags)
	}
	if len(in.Packet) > 0 {
		fmt.Fprintf(s, "  %s in\n", form.Noun())
		indent(s, pcap.Text(in.Packet, form))
	}
}

// writeBytes shows bytes that nothing is known of, if there are any.
func writeBytes(s *strings.Builder, name string, b []byte) {
	if len(b) > 0 {
		fmt.Fprintf(s, "  %s %x\n", name, b)
	}
}

// maxShown bounds the fields that are shown in one line.
const maxShown = 32

// writeFields shows fields by name.
func writeFields(s *strings.Builder, title string, fields []triage.FieldValue) {
	if len(fields) == 0 {
		return
	}
	parts := make([]string, 0, min(len(fields), maxShown+1))
	for _, f := range fields[:min(len(fields), maxShown)] {
		parts = append(parts, fmt.Sprintf("%s %d", f.Name, f.Value))
	}
	if more := len(fields) - maxShown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	fmt.Fprintf(s, "  %s%s\n", title, strings.Join(parts, ", "))
}

// writeOutput says in what metadata and packet differ from the input's, and shows
// the packet if it does.
func writeOutput(s *strings.Builder, in *corpus.Step, out *triage.StepSummary, form pcap.Form) {
	switch {
	case bytes.Equal(in.Meta, out.Meta):
	case len(out.Meta) == 0:
		s.WriteString("  metadata out: none\n")
	default:
		fmt.Fprintf(s, "  metadata out: %x\n", out.Meta)
	}
	noun := form.Noun()
	switch {
	case len(out.Packet) == 0 && len(in.Packet) > 0:
		fmt.Fprintf(s, "  %s out: none\n", noun)
		return
	case !bytes.Equal(in.Packet, out.Packet) && len(in.Packet) != len(out.Packet):
		fmt.Fprintf(s, "  %s out: %s, %+d\n", noun, count(len(out.Packet), "byte"), len(out.Packet)-len(in.Packet))
	case !bytes.Equal(in.Packet, out.Packet):
		fmt.Fprintf(s, "  %s out: differs in bytes %s\n", noun, ranges(out.Changed))
	case len(in.Packet) > 0:
		fmt.Fprintf(s, "  %s out: the same\n", noun)
		return
	default:
		return
	}
	indent(s, pcap.Text(out.Packet, form))
}

func writeEvents(s *strings.Builder, events []corpus.Event) {
	if len(events) == 0 {
		return
	}
	s.WriteString("\nevents\n")
	for _, e := range events {
		fmt.Fprintf(s, "  %s: %s\n", e.Source, e.Text)
	}
}

func ranges(changed []corpus.Bounds) string {
	parts := make([]string, 0, len(changed))
	for _, b := range changed {
		if b.Min == b.Max {
			parts = append(parts, fmt.Sprint(b.Min))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", b.Min, b.Max))
		}
	}
	return strings.Join(parts, ", ")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func indent(s *strings.Builder, text string) {
	for line := range strings.Lines(text) {
		s.WriteString("    " + line)
	}
}

// writePath lists edges in order, neighbours that read the same once.
func writePath(s *strings.Builder, path []cover.Edge) {
	if len(path) == 0 {
		return
	}
	s.WriteString("\npath, each edge where it was passed last\n")
	if left := len(path) - maxPath; left > 0 {
		fmt.Fprintf(s, "  (%d edges before these)\n", left)
		path = path[left:]
	}
	last := ""
	for i := range path {
		if label := path[i].Label(); label != last {
			fmt.Fprintf(s, "  %s\n", label)
			last = label
		}
	}
}
