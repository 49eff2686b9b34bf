package bpf

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// MapRef says which map of the kernel is meant: "id:N", "pinned:PATH" or
// "name:NAME".
type MapRef string

// reusedMaps are open maps of somebody else by the name that the object has for them.
type reusedMaps map[string]*ebpf.Map

// Close gives the maps back.
func (r reusedMaps) Close() error {
	var err error
	for _, m := range r {
		err = errors.Join(err, m.Close())
	}
	return err
}

// Check returns an error unless the reference is well formed.
func (r MapRef) Check() error {
	how, what, _ := strings.Cut(string(r), ":")
	switch how {
	case "id":
		if n, err := strconv.ParseUint(what, 10, 32); err != nil || n == 0 {
			return fmt.Errorf("%q: the id of a map is a number from 1 on", string(r))
		}
		return nil
	case "pinned", "name":
		if what != "" {
			return nil
		}
	}
	return fmt.Errorf("%q names no map: write id:N, pinned:PATH or name:NAME", string(r))
}

// open opens the map.
func (r MapRef) open() (m *ebpf.Map, err error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	how, what, _ := strings.Cut(string(r), ":")
	switch how {
	case "id":
		id, _ := strconv.ParseUint(what, 10, 32) // as checked
		m, err = ebpf.NewMapFromID(ebpf.MapID(id))
	case "pinned":
		m, err = ebpf.LoadPinnedMap(what, nil)
	default:
		return mapByName(what)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the map %s: %w%s", r, err, kernel.Explain(err))
	}
	return m, nil
}

// mapByName finds the only map of the kernel with a name.
func mapByName(name string) (*ebpf.Map, error) {
	found := reusedMaps{}
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listing the kernel's maps: %w%s", err, kernel.Explain(err)), found.Close())
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		if info, err := m.Info(); err != nil || !sameName(info.Name, name) {
			m.Close()
			continue
		}
		found[fmt.Sprint(id)] = m
	}
	ids := slices.Sorted(maps.Keys(found))
	switch len(ids) {
	case 0:
		return nil, fmt.Errorf("the kernel has no map with name %s: bpftool map show lists those it has", name)
	case 1:
		return found[ids[0]], nil
	}
	return nil, errors.Join(fmt.Errorf("%d maps have name %s: choose one with id:N: %s", len(ids), name, strings.Join(ids, ", ")), found.Close())
}

// sameName compares a name of the kernel, which is cut to 15 bytes and in front of a
// section has the object's name, with the one that a user gave.
func sameName(kept, name string) bool {
	return kept == name || kept == name[:min(len(name), shortName)] || strings.HasPrefix(name, ".") && strings.HasSuffix(kept, name)
}

// reuse makes the target's spec fit maps that are there already. They are shared:
// what programs write to them stays, and inputs do not bring contents for them.
func (t *Target) reuse(refs map[string]MapRef) (err error) {
	t.reused = reusedMaps{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.reused.Close())
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		m, err := refs[name].open()
		if err != nil {
			return fmt.Errorf("map %q: %w", name, err)
		}
		t.reused[name] = m
		spec := t.spec.Maps[name]
		if spec == nil {
			return fmt.Errorf("reusing a map: program %q uses no map %q; %s", t.program, name, strict.Neighbours(name, mapOrder(t.spec)))
		}
		if err := t.takeOver(name, spec, m); err != nil {
			return err
		}
	}
	return nil
}

// takeOver gives a map's spec the kind, flags and size of the map that replaces it.
func (t *Target) takeOver(name string, spec *ebpf.MapSpec, m *ebpf.Map) error {
	info, err := m.Info()
	if err != nil {
		return fmt.Errorf("asking about the map that replaces %q: %w%s", name, err, kernel.Explain(err))
	}
	kind := spec.Type
	if original, ok := t.kinds[name]; ok {
		kind = original
	}
	if info.Type != kind || info.KeySize != spec.KeySize || info.ValueSize != spec.ValueSize {
		return fmt.Errorf("the map that replaces %q is a %s with keys of %d and values of %d bytes, the program has a %s with %d and %d",
			name, kindOf(info.Type).name, info.KeySize, info.ValueSize, kindOf(kind).name, spec.KeySize, spec.ValueSize)
	}
	delete(t.kinds, name)
	spec.Type, spec.MaxEntries, spec.Flags, spec.Contents = info.Type, info.MaxEntries, info.Flags, nil
	if t.shape != nil {
		t.shape.Maps = slices.DeleteFunc(t.shape.Maps, func(m corpus.MapShape) bool { return m.Name == name })
	}
	id, _ := info.ID()
	t.notes = append(t.notes, fmt.Sprintf("map %q is map %d of the kernel: what programs write to it stays there and is not put back between inputs", name, id))
	return nil
}
