package bpf

import (
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// variable is a constant or a global variable of an object.
type variable struct {
	section  string // name of its map
	typ      btf.Type
	off      uint32
	size     int
	declared int // how many of this name there are
}

// variables returns what can be set by name: what the library lists, which are the
// symbols that are visible outside of their file, and static variables, which only
// the BTF of their section has. A name that several static variables share is
// ambiguous.
func variables(spec *ebpf.CollectionSpec) map[string]variable {
	all := map[string]variable{}
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		section, ok := spec.Maps[name].Value.(*btf.Datasec)
		if !ok {
			continue
		}
		for _, info := range section.Vars {
			if v, ok := info.Type.(*btf.Var); ok && v.Linkage == btf.StaticVar {
				all[v.Name] = variable{name, v.Type, info.Offset, int(info.Size), all[v.Name].declared + 1}
			}
		}
	}
	for name, v := range spec.Variables {
		found := variable{section: v.SectionName, off: v.Offset, size: int(v.Size()), declared: 1}
		if v.Type != nil {
			found.typ = v.Type.Type
		}
		all[name] = found
	}
	return all
}

// setVariables sets constants and global variables by name.
func setVariables(spec *ebpf.CollectionSpec, values map[string]any) error {
	if len(values) == 0 {
		return nil
	}
	known := variables(spec)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		what := "variable " + name
		v, ok := known[name]
		_, at := unlocate(values[name])
		switch {
		case !ok:
			return fail(at, "variables", "the object has no variable %q; %s", name, strict.Neighbours(name, slices.Collect(maps.Keys(known))))
		case v.declared > 1:
			return fail(at, what, "%d static variables have this name: rename the one that is meant", v.declared)
		case !v.fits(spec.Maps[v.section]):
			return fail(at, what, "cannot be set: section %q does not reach that far", v.section)
		}
		raw, err := encode(v.typ, v.size, what, values[name])
		if err != nil {
			return err
		}
		if exported := spec.Variables[name]; exported != nil {
			exported.Value = raw
		}
		putVariable(spec.Maps[v.section], v.off, raw)
	}
	return nil
}

// fits reports whether the variable lies in its section, nil for one that the object
// does not have.
func (v *variable) fits(section *ebpf.MapSpec) bool {
	return section == nil || uint64(v.off)+uint64(v.size) <= uint64(section.ValueSize)
}

// putVariable writes a variable that fits into the contents of its section, which is
// what is loaded and put back between inputs.
func putVariable(section *ebpf.MapSpec, off uint32, raw []byte) {
	if section == nil {
		return // the library sets it where there is one
	}
	data := make([]byte, section.ValueSize)
	for _, kv := range section.Contents {
		if initial, ok := kv.Value.([]byte); ok {
			copy(data, initial)
		}
	}
	copy(data[off:], raw)
	section.Contents = []ebpf.MapKV{{Key: uint32(0), Value: data}}
}
