package bpf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

const (
	// defaultFuzzEntries is how many entries inputs may bring into a map that says
	// nothing else, where it has room for them.
	defaultFuzzEntries = 4
	// maxFuzzEntries bounds them: each costs two system calls whenever its input runs.
	maxFuzzEntries = 64
)

// MapBounds says, by name of the map, which initial entries inputs may bring.
type MapBounds map[string]MapBound

// MapBound is what inputs may put into a map. The zero value lets them have up to 4
// entries with any value in every field.
type MapBound struct {
	// Entries bounds the entries of one input, 1 to 64; 0 means 4, or what the map has
	// room for.
	Entries int
	// Key and Value bound fields by the names of BTF, nested ones as "a.b": a value or
	// a list of values that are legal, or {min: ..., max: ...}. Where the whole key or
	// value is one integer, it may be such a bound itself. Values are written as those
	// of MapItem are. Fields that are not mentioned take any value.
	Key, Value any
	// At is "file:line" where the bound comes from a file, else "".
	At string
}

// fuzzMaps puts bounds into the shape.
func (t *Target) fuzzMaps(bounds MapBounds) error {
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		b := bounds[name]
		m, err := t.fuzzable(name, b.At)
		if err != nil {
			return err
		}
		if m.Fuzz, err = newMapFuzz(t.spec.Maps[name], m, b); err != nil {
			return err
		}
	}
	return nil
}

// fuzzable returns the shape of a map that inputs may bring entries of.
func (t *Target) fuzzable(name, at string) (*corpus.MapShape, error) {
	spec := t.spec.Maps[name]
	i := slices.IndexFunc(t.shape.Maps, func(m corpus.MapShape) bool { return m.Name == name })
	what := "fuzz_maps." + name
	switch {
	case spec == nil:
		return nil, fail(at, "fuzz_maps", "the program uses no map %q; %s", name, strict.Neighbours(name, mapOrder(t.spec)))
	case strings.HasPrefix(name, "."):
		return nil, fail(at, what, "is a section of global data: set what is in it by name under variables")
	case i < 0:
		return nil, fail(at, what, "a %s has no entries that are data: leave it out", kindOf(spec.Type).name)
	case t.shared(name):
		return nil, fail(at, what, "is reused from the kernel, whose contents inputs leave alone: leave it out of reuse or of fuzz_maps")
	}
	return &t.shape.Maps[i], nil
}

func newMapFuzz(spec *ebpf.MapSpec, m *corpus.MapShape, b MapBound) (*corpus.MapFuzz, error) {
	what := "fuzz_maps." + m.Name
	entries, err := fuzzEntries(spec, b, what)
	if err != nil {
		return nil, err
	}
	key := boundedPart{what: what + ".key", at: b.At, typ: typeOfSize(spec.Key, spec.KeySize), size: m.KeySize, fields: m.Key}
	if len(key.fields) == 0 && !isArray(spec.Type) {
		key.fields = unnamed(m.KeySize)
	}
	value := boundedPart{what: what + ".value", at: b.At, typ: valueType(spec), size: m.ValueSize, fields: m.Value}
	if len(value.fields) == 0 && value.typ == nil {
		value.fields = unnamed(m.ValueSize)
	}
	f := &corpus.MapFuzz{Entries: entries}
	if f.Key, err = key.bound(b.Key); err != nil {
		return nil, err
	}
	f.Value, err = value.bound(b.Value)
	return f, err
}

// fuzzEntries returns how many entries inputs may bring: no more than there is room
// for besides the initial contents, since a full map would refuse them.
func fuzzEntries(spec *ebpf.MapSpec, b MapBound, what string) (int, error) {
	room := int(min(spec.MaxEntries, maxFuzzEntries))
	if !isArray(spec.Type) {
		room = min(int(spec.MaxEntries)-len(spec.Contents), maxFuzzEntries)
	}
	switch {
	case room < 1:
		return 0, fail(b.At, what, "the map has room for %d entries and has %d to begin with: give it fewer under maps", spec.MaxEntries, len(spec.Contents))
	case b.Entries == 0:
		return min(defaultFuzzEntries, room), nil
	case b.Entries < 0 || b.Entries > room:
		return 0, fail(b.At, what+".entries", "takes a number from 1 to %d, which the map has room for", room)
	}
	return b.Entries, nil
}

func isArray(t ebpf.MapType) bool { return t == ebpf.Array || t == ebpf.PerCPUArray }

// unnamed are the fields of bytes that no type describes.
func unnamed(size int) []corpus.Field {
	if size == 1 || size == 2 || size == 4 || size == 8 {
		return []corpus.Field{{Name: whole, Size: size}}
	}
	var list []corpus.Field
	for at := 0; at < size && len(list) < maxFields; {
		n := 4
		if size-at < n {
			n = 1
		}
		list = append(list, corpus.Field{Name: fmt.Sprintf("[%d]", at), Offset: at, Size: n})
		at += n
	}
	return list
}

// whole is the field's name where the key or the value is one integer.
const whole = "value"

// boundedPart is a key or a value whose fields are bounded.
type boundedPart struct {
	what, at string
	typ      btf.Type // nil without BTF
	size     int
	fields   []corpus.Field
}

// bound returns the fields with declared bounds.
func (p *boundedPart) bound(v any) ([]corpus.Field, error) {
	fields := slices.Clone(p.fields)
	inner, at := unlocate(v)
	p.at = cmp.Or(at, p.at)
	if inner == nil {
		return fields, nil
	}
	named, ok := inner.(map[string]any)
	if !ok || isRange(named) && !p.has("min") && !p.has("max") {
		named = map[string]any{whole: v}
		if !p.has(whole) {
			return nil, fail(p.at, p.what, "takes bounds by field, as {state: {min: 0, max: 5}}; %s", strict.Neighbours("", p.names()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		i := slices.IndexFunc(fields, func(f corpus.Field) bool { return f.Name == name })
		if i < 0 {
			_, at := unlocate(named[name])
			return nil, fail(cmp.Or(at, p.at), p.what, "has no field %q that an input may choose; %s", name, strict.Neighbours(name, p.names()))
		}
		if err := p.boundField(&fields[i], named[name]); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func (p *boundedPart) has(name string) bool { return slices.Contains(p.names(), name) }

func (p *boundedPart) names() []string {
	names := make([]string, len(p.fields))
	for i := range p.fields {
		names[i] = p.fields[i].Name
	}
	return names
}

// isRange reports whether v reads {min, max}, or one of them.
func isRange(v map[string]any) bool {
	for key := range v {
		if key != "min" && key != "max" {
			return false
		}
	}
	return len(v) > 0
}

// boundField narrows what a field may be.
func (p *boundedPart) boundField(f *corpus.Field, v any) error {
	inner, at := unlocate(v)
	at, path := cmp.Or(at, p.at), p.what+"."+f.Name
	limits, ok := inner.(map[string]any)
	if ok && !isRange(limits) {
		return fail(at, path, "takes {min: ..., max: ...}, a value, or a list of values")
	}
	if ok {
		return p.boundRange(f, limits, at, path)
	}
	list, ok := listOf(inner)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 {
		return fail(at, path, "an empty list leaves no value that is legal")
	}
	var values []uint64
	for _, v := range list {
		u, err := p.number(f, v, path)
		if err != nil {
			return err
		}
		values = append(values, u)
	}
	slices.Sort(values)
	f.Values, f.Closed = slices.Compact(values), true
	f.Min, f.Max = f.Values[0], f.Values[len(f.Values)-1]
	return nil
}

func (p *boundedPart) boundRange(f *corpus.Field, limits map[string]any, at, path string) (err error) {
	lo, hi := f.Limits()
	if v, ok := limits["min"]; ok {
		if lo, err = p.number(f, v, path+".min"); err != nil {
			return err
		}
	}
	if v, ok := limits["max"]; ok {
		if hi, err = p.number(f, v, path+".max"); err != nil {
			return err
		}
	}
	if lo > hi {
		return fail(at, path, "min %d is more than max %d (bounds are without sign): swap them, or list the values", lo, hi)
	}
	if f.Min, f.Max = lo, hi; hi == 0 { // a Max of 0 would be none
		f.Values, f.Closed = []uint64{0}, true
		return nil
	}
	f.Values = slices.DeleteFunc(slices.Clone(f.Values), func(u uint64) bool { return u < lo || u > hi })
	return nil
}

// number reads a value of a field, by the type that it has, within what its type and
// the kind of the map allow.
func (p *boundedPart) number(f *corpus.Field, v any, path string) (uint64, error) {
	u, err := p.parse(f, v, path)
	if err != nil {
		return 0, err
	}
	if lo, hi := f.Limits(); u < lo || u > hi {
		_, at := unlocate(v)
		return 0, fail(cmp.Or(at, p.at), path, "%d is outside of %d to %d, which the map accepts", u, lo, hi)
	}
	return u, nil
}

func (p *boundedPart) parse(f *corpus.Field, v any, path string) (uint64, error) {
	typ, size, what := p.typ, p.size, p.what
	switch {
	case f.Name == whole && f.Size == p.size:
		what = path
	case typ == nil || strings.Contains(f.Name, "["): // an element, of which a number is said
		inner, at := unlocate(v)
		text, _ := textOf(inner)
		u, err := parseInteger(text, 8*f.Size, true, true)
		if err != nil {
			return 0, fail(cmp.Or(at, p.at), path, "%w", err)
		}
		return u, nil
	default:
		v = map[string]any{f.Name: v}
	}
	b, err := encode(typ, size, what, v)
	if err != nil {
		return 0, locateAt(err, p.at)
	}
	return f.Load(b), nil
}

// locateAt says where the bound is where an error does not say where the value is.
func locateAt(err error, at string) error {
	if e, ok := err.(*strict.Error); ok && e.At == "" {
		e.At = at
	}
	return err
}
