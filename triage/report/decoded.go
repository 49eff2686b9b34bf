package report

import (
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/packet"
	"github.com/bpffuzz/bpffuzz/triage"
)

// decodedLayer is a header of a frame, or a stretch of bytes, for pages.
type decodedLayer struct {
	Name   string
	Fields []decodedField
}

// decodedField is a field and what changing it does.
type decodedField struct {
	Name, Value string
	// Matters says that the failure goes away with another value, such as Passes.
	Matters bool
	Passes  string
}

// decode lists the headers of a step's packet with their fields. Bytes that are no field
// are there where they matter.
func decode(f *triage.Finding, step int) []decodedLayer {
	b := f.Input.Steps[step].Packet
	if f.Payload {
		return looseBytes(f, step, "payload", 0, len(b))
	}
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	var list []decodedLayer
	seen := map[packet.Layer]int{}
	for i := range l.N {
		h := l.Headers[i]
		d := decodedLayer{Name: h.Layer.String()}
		if n := seen[h.Layer]; n > 0 {
			d.Name = fmt.Sprintf("%s[%d]", d.Name, n)
		}
		seen[h.Layer]++
		next := 0
		for _, field := range packet.Fields(h.Layer) {
			v, ok := field.Get(b[h.Off:h.End()])
			if !ok || field.Bit < next {
				continue
			}
			next = field.Bit + field.Bits
			d.Fields = append(d.Fields, described(f, step, d.Name+"."+field.Name, field.Name, fieldText(&field, v), &field))
		}
		list = append(list, d)
		list = append(list, looseBytes(f, step, d.Name+", bytes that are no field", h.Off, h.End())...)
	}
	return list
}

// fieldText writes a value as people read it.
func fieldText(f *packet.Field, v uint64) string {
	if f != nil && f.Kind == packet.Address {
		switch f.Bits {
		case 48:
			return mac([]byte{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		case 32:
			return address([]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		}
		return fmt.Sprintf("%#x", v)
	}
	if f != nil && (f.Kind == packet.Check || f.Kind == packet.Next) && f.Bits == 16 {
		return fmt.Sprintf("0x%04x", v)
	}
	return fmt.Sprint(v)
}

// described adds what the study found out of a part of a step's packet.
func described(f *triage.Finding, step int, name, short, value string, field *packet.Field) decodedField {
	d := decodedField{Name: short, Value: value}
	if p := partOf(f, triage.InPacket, step, name); p != nil && p.Matters {
		d.Matters, d.Passes = true, fieldText(field, p.Passes)
	}
	return d
}

// partOf returns a part that was studied, nil where there is none.
func partOf(f *triage.Finding, place triage.Place, index int, name string) *triage.Part {
	if f.Study == nil {
		return nil
	}
	for i := range f.Study.Parts {
		if p := &f.Study.Parts[i]; p.Place == place && p.Index == index && p.Name == name {
			return p
		}
	}
	return nil
}

// looseBytes lists the bytes of a range of a packet that matter and are in no field.
func looseBytes(f *triage.Finding, step int, title string, from, to int) []decodedLayer {
	d := decodedLayer{Name: title}
	for at := from; at < to; at++ {
		name := fmt.Sprintf("byte %d", at)
		if p := partOf(f, triage.InPacket, step, name); p != nil && p.Matters {
			d.Fields = append(d.Fields, decodedField{Name: name, Value: fmt.Sprintf("0x%02x", p.Value), Matters: true, Passes: fmt.Sprintf("0x%02x", p.Passes)})
		}
	}
	if len(d.Fields) == 0 {
		return nil
	}
	return []decodedLayer{d}
}

// otherParts lists what matters besides packets: contexts, map entries, metadata, chance.
func otherParts(f *triage.Finding) []decodedLayer {
	if f.Study == nil {
		return nil
	}
	var list []decodedLayer
	for i := range f.Study.Parts {
		p := &f.Study.Parts[i]
		if p.Place == triage.InPacket || !p.Matters {
			continue
		}
		title := placeText(f, p)
		if len(list) == 0 || list[len(list)-1].Name != title {
			list = append(list, decodedLayer{Name: title})
		}
		last := &list[len(list)-1]
		last.Fields = append(last.Fields, decodedField{Name: p.Name, Value: fmt.Sprint(p.Value), Matters: true, Passes: fmt.Sprint(p.Passes)})
	}
	return list
}

// placeText names the place of a part: "step 1, context", "map ports, key".
func placeText(f *triage.Finding, p *triage.Part) string {
	switch p.Place {
	case triage.InKey, triage.InValue:
		return fmt.Sprintf("map %s[%x], %s", f.Input.Maps[p.Index].Map, f.Input.Maps[p.Index].Key, p.Place)
	}
	return fmt.Sprintf("step %d, %s", p.Index, p.Place)
}

// partValue writes a value of a part of a packet as decode does, of any other as a number.
func partValue(p *triage.Part, v uint64) string {
	if p.Place == triage.InPacket {
		layer, name, ok := strings.Cut(p.Name, ".")
		if !ok {
			return fmt.Sprintf("0x%02x", v)
		}
		layer, _, _ = strings.Cut(layer, "[")
		if l, ok := packet.LayerByName(layer); ok {
			return fieldText(packet.FieldByName(l, name), v)
		}
	}
	return fmt.Sprint(v)
}

// nearestText says what the least change is that makes the failure go away.
func nearestText(f *triage.Finding) string {
	if f.Study == nil || f.Study.Nearest == nil {
		return ""
	}
	c := f.Study.Nearest
	text := fmt.Sprintf("%s, %s: %s instead of %s", placeText(f, &c.Part), c.Name, partValue(&c.Part, c.Passes), partValue(&c.Part, c.Value))
	last := len(f.Steps) - 1
	if last < 0 || last >= len(c.Steps) || result(&c.Steps[last]) == result(&f.Steps[last]) {
		return text
	}
	return fmt.Sprintf("%s; step %d gives %s instead of %s", text, last, result(&c.Steps[last]), result(&f.Steps[last]))
}

// mattersText lists the names of parts that matter, "step N, packet: a, b" a line.
func mattersText(f *triage.Finding) (lines []string) {
	if f.Study == nil {
		return nil
	}
	title := ""
	var names []string
	flush := func() {
		if len(names) > 0 {
			lines = append(lines, title+": "+strings.Join(names, ", "))
		}
		names = nil
	}
	for i := range f.Study.Parts {
		p := &f.Study.Parts[i]
		if !p.Matters {
			continue
		}
		if t := placeText(f, p); t != title {
			flush()
			title = t
		}
		names = append(names, fmt.Sprintf("%s %s", p.Name, partValue(p, p.Value)))
	}
	flush()
	return lines
}

// writeStudy says in text what matters.
func writeStudy(s *strings.Builder, f *triage.Finding) {
	if f.Study == nil {
		return
	}
	lines := mattersText(f)
	if len(lines) > 0 {
		s.WriteString("\nwhat matters: with another value it does not fail\n")
		for _, line := range lines {
			fmt.Fprintf(s, "  %s\n", line)
		}
	} else if len(f.Study.Parts) > 0 && !f.Study.Cut {
		s.WriteString("\nno single field or byte matters: it fails whichever is changed\n")
	}
	if f.Study.Cut {
		fmt.Fprintf(s, "  (the rest was not tried, after %s)\n", count(f.Study.Execs, "run"))
	}
	if text := nearestText(f); text != "" {
		fmt.Fprintf(s, "nearest input that passes\n  %s\n", text)
	}
}
