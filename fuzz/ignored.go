package fuzz

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Ignored says which differences of a Pair are none. The zero value ignores nothing.
type Ignored struct {
	verdict, packet, length, context, maps bool

	headers   []ignoredHeader
	fields    map[string]bool // of the context
	mapNames  map[string]bool
	variables map[string]bool
}

// ignoredHeader is a field of a layer, wherever the layer is; all of its header where
// field is nil.
type ignoredHeader struct {
	layer packet.Layer
	field *packet.Field
}

// ParseIgnored reads what invariants call the same thing: "verdict", "packet", "out.len",
// "out.ipv4.ttl", "out.udp", "ctx", "ctx.mark", "maps", `map("seen")`, and `var("hits")`
// for a global variable.
func ParseIgnored(words []string) (Ignored, error) {
	i := Ignored{fields: map[string]bool{}, mapNames: map[string]bool{}, variables: map[string]bool{}}
	for _, word := range words {
		if err := i.add(word); err != nil {
			return i, err
		}
	}
	return i, nil
}

func (i *Ignored) add(word string) error {
	root, rest, deeper := strings.Cut(word, ".")
	switch {
	case word == "verdict" || word == "ret":
		i.verdict = true
	case word == "packet" || word == "out":
		i.packet = true
	case word == "out.len":
		i.length = true
	case word == "ctx":
		i.context = true
	case word == "maps":
		i.maps = true
	case root == "ctx" && deeper:
		i.fields[rest] = true
	case root == "out" && deeper:
		return i.addHeader(word, rest)
	case strings.HasPrefix(word, "map("):
		return addName(i.mapNames, word, "map(")
	case strings.HasPrefix(word, "var("):
		return addName(i.variables, word, "var(")
	default:
		return fmt.Errorf("what is ignored, %q, is unknown: write verdict, packet, out.len, out.LAYER, out.LAYER.FIELD, ctx, ctx.FIELD, maps, map(\"NAME\") or var(\"NAME\")", word)
	}
	return nil
}

// addName adds the name in `map("seen")` or `var("hits")`.
func addName(names map[string]bool, word, call string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(word, call), ")")
	if name = strings.Trim(name, `"'`); name == "" || !strings.HasSuffix(word, ")") {
		return fmt.Errorf("what is ignored, %q: write %s\"NAME\")", word, call)
	}
	names[name] = true
	return nil
}

func (i *Ignored) addHeader(word, rest string) error {
	name, field, deeper := strings.Cut(rest, ".")
	layer, ok := packet.LayerByName(name)
	if !ok {
		return fmt.Errorf("what is ignored, %q: there is no layer %q", word, name)
	}
	h := ignoredHeader{layer: layer}
	if deeper {
		if h.field = packet.FieldByName(layer, field); h.field == nil {
			return fmt.Errorf("what is ignored, %q: layer %s has no field %q", word, name, field)
		}
	}
	i.headers = append(i.headers, h)
	return nil
}

// check finds names that the programs do not have.
func (i *Ignored) check(s *corpus.Shape, shared []global) error {
	for name := range i.fields {
		known := false
		for j := range s.Output {
			known = known || s.Output[j].Name == name
		}
		if !known {
			return fmt.Errorf("what is ignored: the context of %s has no field %q after a run", s.Type, name)
		}
	}
	for name := range i.mapNames {
		isSection := slices.ContainsFunc(shared, func(g global) bool { return g.was.section == name || g.now.section == name })
		if mapShape(s, name) == nil && !isSection {
			return fmt.Errorf("what is ignored: the programs have no map %q in common", name)
		}
	}
	for name := range i.variables {
		if !slices.ContainsFunc(shared, func(g global) bool { return g.variable() == name }) {
			return fmt.Errorf("what is ignored: the programs have no global variable %q in common", name)
		}
	}
	if len(i.headers) > 0 && (s.Payload || s.NoResult) {
		return fmt.Errorf("what is ignored: %s gives no packet with layers", s.Type)
	}
	return nil
}

// without returns the packet with zeros for what is ignored of it, which is behind meta
// bytes of metadata, in dst.
func (i *Ignored) without(dst, b []byte, meta int) []byte {
	b = append(dst[:0], b...)
	frame := b[min(meta, len(b)):]
	var l packet.Layout
	l.Parse(frame, packet.Ethernet)
	for n := range l.N {
		header := frame[l.Headers[n].Off:l.Headers[n].End()]
		for _, h := range i.headers {
			switch {
			case h.layer != l.Headers[n].Layer:
			case h.field == nil:
				clear(header)
			default:
				h.field.Set(header, 0)
			}
		}
	}
	return b
}

// fieldAt names the field that byte i of a packet is in, " (ipv4.ttl)"; "" where there is
// none.
func fieldAt(s *corpus.Shape, b []byte, i, meta int) string {
	if s.Payload || i < meta {
		return ""
	}
	var l packet.Layout
	l.Parse(b[min(meta, len(b)):], packet.Ethernet)
	for _, h := range l.Headers[:l.N] {
		if i-meta < h.Off || i-meta >= h.End() {
			continue
		}
		bit := 8 * (i - meta - h.Off)
		for _, f := range packet.Fields(h.Layer) {
			if f.Bit < bit+8 && bit < f.Bit+f.Bits {
				return fmt.Sprintf(" (%s.%s)", h.Layer, f.Name)
			}
		}
		return fmt.Sprintf(" (%s)", h.Layer)
	}
	return ""
}
