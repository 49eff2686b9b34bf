package bpf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// MapContents are initial contents by name of the map.
type MapContents map[string][]MapItem

// MapItem is an entry of a map. Key and Value are numbers, strings, []byte,
// map[string]any by the names of BTF, or []any; docs/target-file.md has the rules.
// In a per-CPU map the value is that of the CPU that runs the program. A prog array
// takes the name of a program as value, a map of sockets "tcp" or "udp", a queue, a stack and a bloom filter take no
// key.
type MapItem struct {
	Key, Value any
	// At is "file:line" where the item comes from a file, else "".
	At string
}

// encodedMap is the contents of a map as bytes, in the order given.
type encodedMap struct {
	Name  string
	Items []encodedItem
}

// encodedItem is an entry. Value has the size of one CPU's value; it is nil, and
// Program the name of a program, in a prog array, and nil in a map of sockets.
type encodedItem struct {
	Key, Value []byte
	Program    string
	Socket     socketKind
}

// encodeMaps turns contents into bytes by the object's BTF, map by map in the
// object's order.
func encodeMaps(spec *ebpf.CollectionSpec, contents MapContents) ([]encodedMap, error) {
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if spec.Maps[name] == nil {
			return nil, fail(itemsAt(contents[name]), "maps", "the object has no map %q; %s", name, strict.Neighbours(name, mapOrder(spec)))
		}
	}
	var out []encodedMap
	for _, name := range mapOrder(spec) {
		if len(contents[name]) == 0 {
			continue
		}
		m := encodedMap{Name: name}
		keys := map[string]bool{}
		for i, item := range contents[name] {
			e, err := encodeItem(spec, name, item)
			if err == nil {
				err = checkItem(spec.Maps[name], name, keys, e)
			}
			if err != nil {
				return nil, locate(err, item.At, i)
			}
			m.Items = append(m.Items, e)
		}
		out = append(out, m)
	}
	return out, nil
}

func itemsAt(items []MapItem) string {
	if len(items) == 0 {
		return ""
	}
	return items[0].At
}

// locate says which item an error is about: by line, or by number without a file.
func locate(err error, at string, i int) error {
	e, ok := err.(*strict.Error)
	if !ok {
		return err
	}
	if e.At == "" {
		e.At = at
	}
	if e.At == "" {
		e.At = fmt.Sprintf("item %d", i)
	}
	return e
}

func encodeItem(spec *ebpf.CollectionSpec, name string, item MapItem) (encodedItem, error) {
	m := spec.Maps[name]
	what := "map " + name
	var e encodedItem
	switch m.Type {
	case ebpf.ProgramArray:
		callee, at := unlocate(item.Value)
		e.Program, _ = callee.(string)
		if err := checkProgram(spec, e.Program, at, what); err != nil {
			return e, err
		}
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return e, fail(item.At, what, "contents of a map of maps cannot be given, since its inner maps have no name here: "+
			"let the object fill it with .values")
	case ebpf.SockMap, ebpf.SockHash:
		var err error
		if e.Socket, err = encodeSocket(what+" value", item.Value); err != nil {
			return e, err
		}
	case ebpf.XSKMap, ebpf.ReusePortSockArray:
		return e, fail(item.At, what, "a %s holds open sockets, which a value cannot name: leave it empty", kindOf(m.Type).name)
	case ebpf.CGroupArray, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage, ebpf.CgroupStorage,
		ebpf.SkStorage, ebpf.InodeStorage, ebpf.TaskStorage, ebpf.PerfEventArray, ebpf.StackTrace,
		ebpf.StructOpsMap, ebpf.RingBuf, ebpf.UserRingbuf, ebpf.Arena:
		return e, fail(item.At, what, "a %s has no contents that can be given: leave it empty", kindOf(m.Type).name)
	default:
		if strings.HasPrefix(name, ".") {
			return e, fail(item.At, what, "is a section of global data: set what is in it by name under variables")
		}
		value, err := encode(valueType(m), int(m.ValueSize), what+" value", widen(m, item.Value))
		if err != nil {
			return e, err
		}
		e.Value = value
	}
	key, err := encodeKey(m, what+" key", item.Key)
	e.Key = key
	return e, err
}

func encodeKey(m *ebpf.MapSpec, what string, v any) ([]byte, error) {
	if m.Type == ebpf.Queue || m.Type == ebpf.Stack || m.Type == ebpf.BloomFilter {
		if v != nil {
			return nil, fail("", what, "a %s takes values without a key", kindOf(m.Type).name)
		}
		return nil, nil
	}
	if m.Type == ebpf.LPMTrie {
		if key, ok, err := encodePrefix(m, what, v); ok || err != nil {
			return key, err
		}
	}
	return encode(typeOfSize(m.Key, m.KeySize), int(m.KeySize), what, v)
}

// encodePrefix writes "10.0.0.0/8" as the key of an LPM trie: the number of bits in
// the machine's order, then the address as on the wire.
func encodePrefix(m *ebpf.MapSpec, what string, v any) (key []byte, ok bool, err error) {
	v, at := unlocate(v)
	text, isText := textOf(v)
	if !isText || !strings.Contains(text, "/") {
		return nil, false, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, false, fail(at, what, "%q is no prefix such as 10.0.0.0/8 or fd00::/64", text)
	}
	raw := p.Addr().AsSlice()
	if 4+len(raw) != int(m.KeySize) {
		return nil, false, fail(at, what, "the prefix %s takes a key of %d bytes, here are %d", text, 4+len(raw), m.KeySize)
	}
	return append(binary.NativeEndian.AppendUint32(nil, uint32(p.Bits())), raw...), true, nil
}

// valueType is the BTF type of a map's values. Maps of devices and CPUs rarely
// have one, so their structs of the kernel's interface stand in for it.
func valueType(m *ebpf.MapSpec) btf.Type {
	if typ := typeOfSize(m.Value, m.ValueSize); typ != nil {
		return typ
	}
	name := firstMember(m.Type)
	if name == "" || m.ValueSize != 8 {
		return nil
	}
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	return &btf.Struct{Name: "bpf_" + kindOf(m.Type).name + "_val", Size: 8, Members: []btf.Member{{Name: name, Type: u32}}}
}

func firstMember(t ebpf.MapType) string {
	switch t {
	case ebpf.DevMap, ebpf.DevMapHash:
		return "ifindex"
	case ebpf.CPUMap:
		return "qsize"
	}
	return ""
}

// widen lets a plain number stand for a struct bpf_devmap_val or bpf_cpumap_val.
func widen(m *ebpf.MapSpec, v any) any {
	name := firstMember(m.Type)
	inner, at := unlocate(v)
	if _, ok := textOf(inner); !ok || name == "" || m.ValueSize != 8 {
		return v
	}
	return Located{At: at, Value: map[string]any{name: inner}}
}

// typeOfSize returns typ, or nil where it is no description of size bytes.
func typeOfSize(typ btf.Type, size uint32) btf.Type {
	if typ == nil || sizeOf(typ) != int64(size) {
		return nil
	}
	return typ
}

// checkItem finds what the kernel would refuse when the map is filled, and adds
// the item's key to those that were given.
func checkItem(m *ebpf.MapSpec, name string, given map[string]bool, e encodedItem) error {
	what := "map " + name
	if e.Key == nil {
		return nil
	}
	if given[string(e.Key)] {
		return fail("", what+" key", "is given twice")
	}
	given[string(e.Key)] = true
	if m.MaxEntries != 0 && uint64(len(given)) > uint64(m.MaxEntries) {
		return fail("", what, "has room for %d entries", m.MaxEntries)
	}
	switch m.Type {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.ProgramArray, ebpf.DevMap, ebpf.CPUMap, ebpf.SockMap:
		if i := integerAt(e.Key, false); m.MaxEntries != 0 && i >= uint64(m.MaxEntries) {
			return fail("", what+" key", "index %d is outside of 0 to %d", i, m.MaxEntries-1)
		}
	case ebpf.LPMTrie:
		if len(e.Key) < 4 {
			return fail("", what+" key", "needs 4 bytes of prefix length")
		}
		if bits := integerAt(e.Key[:4], false); bits > 8*uint64(len(e.Key)-4) {
			return fail("", what+" key", "a prefix of %d bits is longer than its %d bytes", bits, len(e.Key)-4)
		}
	}
	return nil
}

func checkProgram(spec *ebpf.CollectionSpec, name, at, what string) error {
	if spec.Programs[name] != nil {
		return nil
	}
	return fail(at, what, "the object has no program %q; %s", name, strict.Neighbours(name, slices.Collect(maps.Keys(spec.Programs))))
}

// setContents adds encoded contents to those that the object gives its maps; an
// entry with the same key replaces the object's. Per-CPU values are repeated for
// each of cpus possible CPUs.
func setContents(spec *ebpf.CollectionSpec, contents []encodedMap, cpus int) {
	for _, c := range contents {
		m := spec.Maps[c.Name]
		replaced := map[string]bool{}
		for _, item := range c.Items {
			if item.Key != nil {
				replaced[string(item.Key)] = true
			}
		}
		var kvs []ebpf.MapKV
		for _, kv := range m.Contents {
			if !replaced[string(bytesOf(kv.Key))] {
				kvs = append(kvs, kv)
			}
		}
		for _, item := range c.Items {
			kvs = append(kvs, contentsOf(m, item, cpus))
		}
		m.Contents = kvs
	}
}

func contentsOf(m *ebpf.MapSpec, item encodedItem, cpus int) ebpf.MapKV {
	kv := ebpf.MapKV{Key: item.Key, Value: item.Value}
	switch {
	case item.Key == nil:
		kv.Key = nil
	case item.Program != "":
		kv.Value = item.Program
	case item.Socket != "":
		kv.Value = item.Socket
	case isPerCPU(m.Type):
		kv.Value = slices.Repeat([][]byte{item.Value}, cpus)
	}
	return kv
}

// setTailCalls puts programs into prog arrays, by map name and index. Places are
// those of "tail_calls.NAME" in a target file.
func setTailCalls(spec *ebpf.CollectionSpec, calls map[string]map[uint32]string, places map[string]string) error {
	var encoded []encodedMap
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		m, at := spec.Maps[name], places["tail_calls."+name]
		if m == nil {
			return fail(at, "tail_calls", "the object has no map %q; %s", name, strict.Neighbours(name, mapOrder(spec)))
		}
		if m.Type != ebpf.ProgramArray {
			return fail(at, "tail_calls", "map %q is of kind %s, not prog_array", name, kindOf(m.Type).name)
		}
		e := encodedMap{Name: name}
		for _, index := range slices.Sorted(maps.Keys(calls[name])) {
			what := fmt.Sprintf("tail_calls.%s[%d]", name, index)
			if m.MaxEntries != 0 && index >= m.MaxEntries {
				return fail(at, what, "index %d is outside of 0 to %d", index, m.MaxEntries-1)
			}
			callee := calls[name][index]
			if err := checkProgram(spec, callee, at, what); err != nil {
				return err
			}
			e.Items = append(e.Items, encodedItem{Key: binary.NativeEndian.AppendUint32(nil, index), Program: callee})
		}
		encoded = append(encoded, e)
	}
	setContents(spec, encoded, 1)
	return nil
}
