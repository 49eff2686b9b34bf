package bpf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// encodeFields writes a context by the names of its fields ("mark", "cb[0]", or a
// list under "cb"). Fields that are missing are zero.
func encodeFields(fields []corpus.Field, size int, what string, v any) ([]byte, error) {
	v, at := unlocate(v)
	named, ok := v.(map[string]any)
	if !ok {
		return nil, fail(at, what, "takes fields by name, as {mark: 7}")
	}
	dst := make([]byte, size)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if err := encodeField(dst, fields, at, what, name, named[name]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func encodeField(dst []byte, fields []corpus.Field, at, what, name string, v any) error {
	v, here := unlocate(v)
	if here != "" {
		at = here
	}
	if list, ok := listOf(v); ok {
		for i, v := range list {
			if err := encodeField(dst, fields, at, what, fmt.Sprintf("%s[%d]", name, i), v); err != nil {
				return err
			}
		}
		return nil
	}
	i := slices.IndexFunc(fields, func(f corpus.Field) bool { return f.Name == name })
	if i < 0 {
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.Name
		}
		return fail(at, what, "has no field %q that an input may set; %s", name, strict.Neighbours(name, names))
	}
	f := fields[i]
	path := what + "." + name
	text, ok := textOf(v)
	if !ok {
		return fail(at, path, "takes a number of %d bytes", f.Size)
	}
	n, err := parseInteger(text, 8*f.Size, true, true)
	if err != nil {
		return fail(at, path, "%w", err)
	}
	if f.Max != 0 && (n < f.Min || n > f.Max) {
		return fail(at, path, "%s is outside of %d to %d, which is what the kernel accepts", text, f.Min, f.Max)
	}
	if f.Offset < 0 || f.Offset+f.Size > len(dst) {
		return fail(at, path, "lies outside of the context's %d bytes", len(dst))
	}
	putInteger(dst[f.Offset:f.Offset+f.Size], n, f.Big)
	return nil
}
