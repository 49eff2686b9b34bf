package bpf

import (
	"fmt"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const (
	// maxTypeDepth bounds nesting of structs, arrays, typedefs and qualifiers. BTF
	// of a hostile object may be recursive; C sources nest a handful of levels.
	maxTypeDepth = 32
	// maxFields bounds the fields of one type. Mutators pick among fields, so a few
	// hundred of them are as good as thousands.
	maxFields = 512
	// maxVisits bounds the work where types nest widely without yielding fields.
	maxVisits = 1 << 14
)

// plain is a type without its typedefs and qualifiers.
type plain struct {
	typ btf.Type
	// big says that a typedef on the way was __be16, __be32 or __be64.
	big bool
}

// stripType removes typedefs and qualifiers. The result has a nil type where they
// nest too deeply, as recursive ones do.
func stripType(typ btf.Type) plain {
	var p plain
	for range maxTypeDepth {
		switch t := typ.(type) {
		case *btf.Typedef:
			p.big = p.big || isBigName(t.Name)
			typ = t.Type
		case *btf.Const:
			typ = t.Type
		case *btf.Volatile:
			typ = t.Type
		case *btf.Restrict:
			typ = t.Type
		case *btf.TypeTag:
			typ = t.Type
		default:
			p.typ = typ
			return p
		}
	}
	return p
}

func isBigName(name string) bool {
	return name == "__be16" || name == "__be32" || name == "__be64"
}

// isKernelOwned reports whether the kernel keeps its own data in values of the
// named struct: user space reads zeros there and cannot write.
func isKernelOwned(name string) bool {
	switch name {
	case "bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_refcount",
		"bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node":
		return true
	}
	return false
}

// member is a named part of a composite type.
type member struct {
	name string
	typ  btf.Type
	// bits is the offset in the composite; width is not 0 for a bit field only.
	bits, width uint64
}

// membersOf returns the parts of a struct, union or data section, and whether typ
// is one of these.
func membersOf(typ btf.Type) ([]member, bool) {
	var in []btf.Member
	switch t := typ.(type) {
	case *btf.Struct:
		in = t.Members
	case *btf.Union:
		in = t.Members
	case *btf.Datasec:
		out := make([]member, 0, len(t.Vars))
		for _, s := range t.Vars {
			if v, ok := s.Type.(*btf.Var); ok {
				out = append(out, member{name: v.Name, typ: v.Type, bits: 8 * uint64(s.Offset)})
			}
		}
		return out, true
	default:
		return nil, false
	}
	out := make([]member, 0, len(in))
	for _, m := range in {
		out = append(out, member{name: m.Name, typ: m.Type, bits: uint64(m.Offset), width: uint64(m.BitfieldSize)})
	}
	return out, true
}

// sizeOf returns the size of a type in bytes, or -1 where it has none.
func sizeOf(typ btf.Type) int64 {
	if typ == nil {
		return -1
	}
	if d, ok := typ.(*btf.Datasec); ok {
		return int64(d.Size)
	}
	n, err := btf.Sizeof(typ)
	if err != nil {
		return -1
	}
	return int64(n)
}

// flatten lists the integers of a type that lie in its first size bytes, in order
// of offset. Alternatives of a union overlap. Bit fields, pointers, floating
// point, 128-bit integers and what the kernel owns (locks, timers, list heads)
// are left out, as is what exceeds the bounds of depth and number.
func flatten(typ btf.Type, size int) []corpus.Field {
	f := flattener{size: uint64(size)}
	f.walk(typ, "", 0, 0)
	sort.SliceStable(f.fields, func(i, j int) bool { return f.fields[i].Offset < f.fields[j].Offset })
	return f.fields
}

type flattener struct {
	size   uint64
	fields []corpus.Field
	visits int
}

func (f *flattener) full() bool {
	return len(f.fields) >= maxFields || f.visits >= maxVisits
}

func (f *flattener) walk(typ btf.Type, name string, at uint64, depth int) {
	f.visits++
	if f.full() || depth > maxTypeDepth || at >= f.size {
		return
	}
	p := stripType(typ)
	if members, ok := membersOf(p.typ); ok {
		if !isKernelOwned(p.typ.TypeName()) {
			f.composite(members, name, at, depth)
		}
		return
	}
	switch t := p.typ.(type) {
	case *btf.Int:
		var values []uint64
		var limit uint64
		if t.Encoding == btf.Bool {
			values, limit = []uint64{0, 1}, 1
		}
		f.add(corpus.Field{Name: name, Size: int(min(t.Size, 16)), Max: limit, Big: p.big, Values: values}, at)
	case *btf.Enum:
		f.add(corpus.Field{Name: name, Size: int(min(t.Size, 16)), Big: p.big, Values: enumValues(t)}, at)
	case *btf.Array:
		f.array(t, name, at, depth)
	}
}

func (f *flattener) composite(members []member, name string, at uint64, depth int) {
	for _, m := range members {
		f.visits++
		if f.full() {
			return
		}
		if m.width == 0 && m.bits%8 == 0 {
			f.walk(m.typ, joinName(name, m.name), at+m.bits/8, depth+1)
		}
	}
}

func (f *flattener) array(t *btf.Array, name string, at uint64, depth int) {
	size := sizeOf(t.Type)
	if size <= 0 {
		return
	}
	for i := range uint64(t.Nelems) {
		if f.full() || at+i*uint64(size) >= f.size {
			return
		}
		f.walk(t.Type, fmt.Sprintf("%s[%d]", name, i), at+i*uint64(size), depth+1)
	}
}

func (f *flattener) add(field corpus.Field, at uint64) {
	switch field.Size {
	case 1, 2, 4, 8:
	default:
		return
	}
	if at+uint64(field.Size) > f.size {
		return
	}
	if field.Name == "" {
		field.Name = "value" // the whole key or value is one integer
	}
	field.Offset = int(at)
	f.fields = append(f.fields, field)
}

func enumValues(t *btf.Enum) []uint64 {
	mask := ^uint64(0)
	if t.Size < 8 {
		mask = 1<<(8*t.Size) - 1
	}
	values := make([]uint64, 0, min(len(t.Values), 64))
	for _, v := range t.Values[:min(len(t.Values), 64)] {
		values = append(values, v.Value&mask)
	}
	return values
}

// joinName makes "a.b"; members of anonymous structs and unions count as members
// of what contains them, as in C.
func joinName(outer, inner string) string {
	switch {
	case inner == "":
		return outer
	case outer == "" || strings.HasPrefix(inner, "["):
		return outer + inner
	}
	return outer + "." + inner
}
