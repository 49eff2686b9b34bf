package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/triage"
)

// page is what report.html and report.md show.
type page struct {
	Title, Oracle, Key, Program, Type, Reliability, Input, Command string
	Steps                                                          []pageStep
	Others                                                         []decodedLayer // what matters besides packets
	Matters                                                        []string
	Nearest                                                        string
	Cut                                                            string
	Path                                                           []string
	Left                                                           int // edges that are left out before Path
	Notes, Events                                                  []string
	Maps                                                           []string
	Exports                                                        []exported
}

// pageStep is a step.
type pageStep struct {
	Number int
	Result string
	Fault  string
	Given  string // fields of the context, "" for none
	Gave   string
	Layers []decodedLayer
	Dump   []dumpLine
	Noun   string // "packet"
	// Other is the packet of the nearest input that passes, where it is another one.
	Other []dumpLine
	// Out says what came out; OutText is the packet, "" where it is the same.
	Out, OutText string
}

// dumpLine is a line of a hex dump.
type dumpLine struct {
	Offset string
	Bytes  []dumpByte
	Text   string
}

// dumpByte is a byte of a dump. Matters says that it belongs to a part that does,
// Changed that it is another one in the nearest input that passes.
type dumpByte struct {
	Hex              string
	Matters, Changed bool
}

// newPage gathers what is shown.
func newPage(f *triage.Finding, opts Options, r *Recipe) *page {
	p := &page{
		Title: f.Title, Oracle: f.Oracle, Key: f.Key, Program: f.Program, Type: f.Type,
		Reliability: fmt.Sprintf("fails in %d of %d runs from the initial state", f.Reliability, f.Runs),
		Input:       inputSize(f.Input), Command: opts.command(f), Notes: f.Notes, Exports: abilities(r),
		Others: otherParts(f), Matters: mattersText(f), Nearest: nearestText(f),
	}
	if f.Study != nil && f.Study.Cut {
		p.Cut = fmt.Sprintf("The rest was not tried, after %s.", count(f.Study.Execs, "run"))
	}
	for _, e := range f.Input.Maps {
		p.Maps = append(p.Maps, fmt.Sprintf("%s[%x] = %x", e.Map, e.Key, e.Value))
	}
	for _, e := range f.Events {
		p.Events = append(p.Events, e.Source+": "+e.Text)
	}
	path := f.Path
	if p.Left = max(len(path)-maxPath, 0); p.Left > 0 {
		path = path[p.Left:]
	}
	for i := range path {
		if label := path[i].Label(); len(p.Path) == 0 || p.Path[len(p.Path)-1] != label {
			p.Path = append(p.Path, label)
		}
	}
	for i := range f.Input.Steps {
		p.Steps = append(p.Steps, newPageStep(f, i))
	}
	return p
}

func newPageStep(f *triage.Finding, i int) pageStep {
	in := &f.Input.Steps[i]
	form := formOf(f)
	s := pageStep{Number: i, Result: "did not run", Layers: decode(f, i), Dump: dump(f, i, in.Packet), Noun: form.Noun()}
	if f.Study != nil && f.Study.Nearest != nil {
		if other := f.Study.Nearest.Input.Steps[i].Packet; !bytes.Equal(other, in.Packet) {
			s.Other = dump(f, i, other)
		}
	}
	if i >= len(f.Steps) {
		return s
	}
	out := &f.Steps[i]
	s.Result = result(out)
	var text strings.Builder
	s.Fault = FaultText(in.Fault, out.Faulted)
	s.Given, s.Gave = fieldList(out.Given), fieldList(out.Gave)
	if out.Errno == 0 && !out.NoResult && len(in.Packet) > 0 {
		text.Reset()
		writeOutput(&text, in, out, form)
		first, _, _ := strings.Cut(strings.TrimSpace(text.String()), "\n")
		if s.Out = first; !bytes.Equal(in.Packet, out.Packet) && len(out.Packet) > 0 {
			s.OutText = pcap.Text(out.Packet, form)
		}
	}
	return s
}

func fieldList(fields []triage.FieldValue) string {
	var s strings.Builder
	writeFields(&s, "", fields)
	return strings.TrimSpace(s.String())
}

// dumpWidth is how many bytes a line of a dump has.
const dumpWidth = 16

// dump writes bytes in lines, with marks at those that matter and at those that differ
// from the nearest input that passes.
func dump(f *triage.Finding, step int, b []byte) (lines []dumpLine) {
	matters := make([]bool, len(b))
	if f.Study != nil {
		for i := range f.Study.Parts {
			p := &f.Study.Parts[i]
			if p.Place != triage.InPacket || p.Index != step || !p.Matters {
				continue
			}
			from, to := p.Bytes()
			for at := from; at < min(to, len(b)); at++ {
				matters[at] = true
			}
		}
	}
	var other []byte
	mine := f.Input.Steps[step].Packet
	if f.Study != nil && f.Study.Nearest != nil {
		other = f.Study.Nearest.Input.Steps[step].Packet
	}
	for from := 0; from < len(b); from += dumpWidth {
		line := dumpLine{Offset: fmt.Sprintf("%04x", from)}
		for at := from; at < min(from+dumpWidth, len(b)); at++ {
			changed := at < len(other) && at < len(mine) && other[at] != mine[at]
			line.Bytes = append(line.Bytes, dumpByte{Hex: fmt.Sprintf("%02x", b[at]), Matters: matters[at], Changed: changed})
			c := b[at]
			if c < ' ' || c >= 0x7f {
				c = '.'
			}
			line.Text += string(rune(c))
		}
		lines = append(lines, line)
	}
	return lines
}
