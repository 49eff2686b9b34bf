package bpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// mapKind is what is known of a map type.
type mapKind struct {
	// name is as bpftool prints it.
	name string
	// data says that keys and values are bytes that user space may write and read.
	data bool
	// lasting says what user space cannot put back, "" for nothing.
	lasting string
}

// mapKinds has a row for each map type of the kernel.
func mapKinds() map[ebpf.MapType]mapKind {
	const (
		order   = "order of an LRU"
		storage = "storage kept with objects of the kernel"
	)
	return map[ebpf.MapType]mapKind{
		ebpf.Hash:                {name: "hash", data: true},
		ebpf.Array:               {name: "array", data: true},
		ebpf.PerCPUHash:          {name: "percpu_hash", data: true},
		ebpf.PerCPUArray:         {name: "percpu_array", data: true},
		ebpf.LRUHash:             {name: "lru_hash", data: true, lasting: order},
		ebpf.LRUCPUHash:          {name: "lru_percpu_hash", data: true, lasting: order},
		ebpf.LPMTrie:             {name: "lpm_trie", data: true},
		ebpf.ProgramArray:        {name: "prog_array"},
		ebpf.PerfEventArray:      {name: "perf_event_array"},
		ebpf.StackTrace:          {name: "stack_trace", lasting: "stack traces"},
		ebpf.CGroupArray:         {name: "cgroup_array"},
		ebpf.ArrayOfMaps:         {name: "array_of_maps"},
		ebpf.HashOfMaps:          {name: "hash_of_maps"},
		ebpf.DevMap:              {name: "devmap"},
		ebpf.DevMapHash:          {name: "devmap_hash"},
		ebpf.SockMap:             {name: "sockmap"},
		ebpf.SockHash:            {name: "sockhash"},
		ebpf.CPUMap:              {name: "cpumap"},
		ebpf.XSKMap:              {name: "xskmap"},
		ebpf.CGroupStorage:       {name: "cgroup_storage", lasting: storage},
		ebpf.PerCPUCGroupStorage: {name: "percpu_cgroup_storage", lasting: storage},
		ebpf.ReusePortSockArray:  {name: "reuseport_sockarray"},
		ebpf.Queue:               {name: "queue"},
		ebpf.Stack:               {name: "stack"},
		ebpf.SkStorage:           {name: "sk_storage", lasting: storage},
		ebpf.StructOpsMap:        {name: "struct_ops"},
		ebpf.RingBuf:             {name: "ringbuf"},
		ebpf.InodeStorage:        {name: "inode_storage", lasting: storage},
		ebpf.TaskStorage:         {name: "task_storage", lasting: storage},
		ebpf.BloomFilter:         {name: "bloom_filter", lasting: "bits of a bloom filter"},
		ebpf.UserRingbuf:         {name: "user_ringbuf"},
		ebpf.CgroupStorage:       {name: "cgrp_storage", lasting: storage},
		ebpf.Arena:               {name: "arena", lasting: "memory of an arena"},
	}
}

// kindOf returns the row of a map type; one that is newer than this program has
// the library's name in lower case.
func kindOf(t ebpf.MapType) mapKind {
	if k, ok := mapKinds()[t]; ok {
		return k
	}
	return mapKind{name: strings.ToLower(t.String())}
}

// newMapShape describes a map, or reports false where its contents are no state
// that can be read and written as bytes: constants, and maps that hold programs,
// sockets, devices or streams.
func newMapShape(name string, m *ebpf.MapSpec) (corpus.MapShape, bool) {
	kind := kindOf(m.Type)
	if !kind.data || isConstant(name) {
		return corpus.MapShape{}, false
	}
	shape := corpus.MapShape{
		Name:      name,
		Kind:      kind.name,
		KeySize:   int(m.KeySize),
		ValueSize: int(m.ValueSize),
		Lasting:   kind.lasting,
		Keys:      initialKeys(m),
	}
	_, shape.Global = m.Value.(*btf.Datasec)
	if getsFull(m.Type) {
		shape.MaxEntries = int(m.MaxEntries)
	}
	if m.Key != nil && sizeOf(m.Key) == int64(m.KeySize) {
		shape.Key = flatten(m.Key, shape.KeySize)
	}
	shape.Key = boundKey(m, shape.Key)
	if m.Value != nil && sizeOf(m.Value) == int64(m.ValueSize) {
		shape.Value = flatten(m.Value, shape.ValueSize)
		if own := ownedBy(m.Value); own != "" && shape.Lasting == "" {
			shape.Lasting = own
		}
	}
	return shape, true
}

// newTable describes a map whose contents are no data, by its initial keys.
func newTable(name string, m *ebpf.MapSpec) (corpus.MapShape, bool) {
	shape := corpus.MapShape{Name: name, Kind: kindOf(m.Type).name, KeySize: int(m.KeySize), Keys: initialKeys(m)}
	return shape, len(shape.Keys) > 0 && !isConstant(name)
}

// maxKeys bounds the initial keys that are known of a map.
const maxKeys = 256

// initialKeys returns the keys of a map's initial contents.
func initialKeys(m *ebpf.MapSpec) [][]byte {
	var keys [][]byte
	for _, kv := range m.Contents[:min(len(m.Contents), maxKeys)] {
		if key := bytesOf(kv.Key); len(key) == int(m.KeySize) {
			keys = append(keys, key)
		}
	}
	return keys
}

// lastingMaps lists the maps among names whose contents are no bytes that can be
// put back, as corpus.Shape does.
func lastingMaps(spec *ebpf.CollectionSpec, names []string) []string {
	var list []string
	for _, name := range names {
		if kind := kindOf(spec.Maps[name].Type); !kind.data && kind.lasting != "" {
			list = append(list, fmt.Sprintf("map %s (%s)", name, kind.lasting))
		}
	}
	return list
}

// boundKey keeps keys within what the kernel accepts: the index of an array, the
// prefix length of a trie. An array with one entry has no field to choose.
func boundKey(m *ebpf.MapSpec, key []corpus.Field) []corpus.Field {
	switch m.Type {
	case ebpf.Array, ebpf.PerCPUArray:
		if m.MaxEntries <= 1 || m.KeySize != 4 {
			return nil
		}
		last := uint64(m.MaxEntries) - 1
		return []corpus.Field{{Name: "value", Size: 4, Max: last, Values: []uint64{0, last}}}
	case ebpf.LPMTrie:
		if len(key) > 0 && key[0].Offset == 0 && key[0].Size == 4 && m.KeySize > 4 {
			bits := 8 * uint64(m.KeySize-4)
			key[0].Max, key[0].Values = bits, []uint64{0, 1, bits / 2, bits - 1, bits}
		}
	}
	return key
}

// isConstant reports whether a map is a section that programs only read. Such
// values are set before loading and are part of the program, not of its state.
func isConstant(name string) bool {
	return strings.HasPrefix(name, ".rodata") || name == ".kconfig"
}

// ownedBy says what in a value outlives a run and cannot be put back.
func ownedBy(typ btf.Type) string {
	var timers, objects bool
	w := walker{visit: func(t btf.Type) {
		switch t := t.(type) {
		case *btf.Struct:
			timers = timers || t.Name == "bpf_timer" || t.Name == "bpf_wq"
			objects = objects || slices.Contains([]string{"bpf_list_head", "bpf_rb_root"}, t.Name)
		case *btf.Pointer:
			objects = true
		}
	}}
	w.walk(typ, 0)
	switch {
	case timers:
		return "timers"
	case objects:
		return "objects of the kernel"
	}
	return ""
}

// walker visits the types inside a value once each; it does not follow pointers.
type walker struct {
	visit func(btf.Type)
	seen  map[btf.Type]bool
}

func (w *walker) walk(typ btf.Type, depth int) {
	if w.seen == nil {
		w.seen = map[btf.Type]bool{}
	}
	typ = stripType(typ).typ
	if typ == nil || depth > maxTypeDepth || w.seen[typ] || len(w.seen) > maxVisits {
		return
	}
	w.seen[typ] = true
	w.visit(typ)
	if a, ok := typ.(*btf.Array); ok {
		w.walk(a.Type, depth+1)
	}
	members, _ := membersOf(typ)
	for _, m := range members {
		w.walk(m.typ, depth+1)
	}
}
