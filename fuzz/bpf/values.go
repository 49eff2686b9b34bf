package bpf

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// Located is a value that knows where it was written, so that an error about it
// can say so. The reader of target files wraps every value in one; values made in
// Go need none.
type Located struct {
	// At is "file:line".
	At string
	// Value is a string, a []any or a map[string]any, whose elements are Located.
	Value any
}

// unlocate returns the value inside v and where it was written.
func unlocate(v any) (inner any, at string) {
	for {
		l, ok := v.(Located)
		if !ok {
			return v, at
		}
		v, at = l.Value, l.At
	}
}

// fail makes an error about the value at path.
func fail(at, path, format string, args ...any) error {
	return strict.Fail(at, path, format, args...)
}

// encode writes a value as the size bytes of a C type. Typ is nil where the object
// has no BTF. What is a name for error messages. A value is
//
//   - a number of any Go type or its text, in the machine's byte order unless the
//     type is __be16, __be32 or __be64 or the text reads be(N);
//   - an address as text: 4, 6 or 16 bytes in the order of the wire;
//   - for an enum the name of a constant; for an array of char its text;
//   - map[string]any by member names, or []any by position in an array; what is
//     missing is zero;
//   - bytes: a []byte, or their hex digits, as many as the type has;
//   - any other Go value of fixed size, as encoding/binary lays it out.
func encode(typ btf.Type, size int, what string, v any) ([]byte, error) {
	if have := sizeOf(typ); typ != nil && have != int64(size) {
		return nil, fail("", what, "its BTF type has %d bytes, its definition %d", have, size)
	}
	dst := make([]byte, size)
	e := encoder{}
	if err := e.put(dst, typ, false, what, v); err != nil {
		return nil, err
	}
	return dst, nil
}

type encoder struct {
	at string // of the innermost value that says so
}

func (e *encoder) fail(path, format string, args ...any) error {
	return fail(e.at, path, format, args...)
}

func (e *encoder) put(dst []byte, typ btf.Type, big bool, path string, v any) error {
	v, at := unlocate(v)
	if at != "" {
		outer := e.at
		e.at = at
		defer func() { e.at = outer }()
	}
	if raw, ok := v.([]byte); ok {
		return e.raw(dst, path, raw)
	}
	p := stripType(typ)
	big = big || p.big
	if s, ok := p.typ.(*btf.Struct); ok && isKernelOwned(s.Name) {
		return e.fail(path, "a struct %s is kept by the kernel and cannot be written", s.Name)
	}
	if text, ok := textOf(v); ok {
		return e.text(dst, p.typ, big, path, text)
	}
	if fields, ok := v.(map[string]any); ok {
		return e.named(dst, p.typ, path, fields)
	}
	if list, ok := listOf(v); ok {
		return e.list(dst, p.typ, big, path, list)
	}
	return e.fixed(dst, path, v)
}

func (e *encoder) raw(dst []byte, path string, raw []byte) error {
	if len(raw) != len(dst) {
		return e.fail(path, "takes %d bytes, not %d", len(dst), len(raw))
	}
	copy(dst, raw)
	return nil
}

// fixed writes structs and arrays of Go code.
func (e *encoder) fixed(dst []byte, path string, v any) error {
	if v == nil {
		return e.fail(path, "has no value; leave it out for zero")
	}
	if n := binary.Size(v); n != len(dst) {
		return e.fail(path, "cannot write a %T into %d bytes", v, len(dst))
	}
	_, err := binary.Encode(dst, binary.NativeEndian, v)
	if err != nil {
		return e.fail(path, "cannot write a %T: %w", v, err)
	}
	return nil
}

// textOf returns numbers, booleans, addresses and strings as text.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case netip.Addr:
		return v.String(), true
	case netip.Prefix:
		return v.String(), true
	case net.HardwareAddr:
		return v.String(), true
	case net.IP:
		return v.String(), true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(r.Bool()), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(r.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(r.Uint(), 10), true
	case reflect.String:
		return r.String(), true
	}
	return "", false
}

func listOf(v any) ([]any, bool) {
	if list, ok := v.([]any); ok {
		return list, true
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return nil, false
	}
	list := make([]any, r.Len())
	for i := range list {
		list[i] = r.Index(i).Interface()
	}
	return list, true
}

// named writes members by name, or elements of an array by index.
func (e *encoder) named(dst []byte, typ btf.Type, path string, fields map[string]any) error {
	if a, ok := typ.(*btf.Array); ok {
		return e.indexed(dst, a, path, fields)
	}
	members, ok := membersOf(typ)
	if !ok {
		return e.fail(path, "is %s and has no members", describeType(typ, len(dst)))
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := e.member(dst, members, path, name, fields[name]); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) member(dst []byte, members []member, path, name string, v any) error {
	head, rest, nested := strings.Cut(name, ".")
	m, ok := findMember(members, head)
	if !ok {
		at := e.at
		if _, here := unlocate(v); here != "" {
			at = here
		}
		return fail(at, path, "has no member %q; %s", head, strict.Neighbours(head, memberNames(members)))
	}
	path = joinName(path, head)
	if nested {
		v = map[string]any{rest: v}
	}
	if m.width != 0 {
		return e.bits(dst, m, path, v)
	}
	size := sizeOf(m.typ)
	at := m.bits / 8
	if size < 0 || at > uint64(len(dst)) || uint64(size) > uint64(len(dst))-at {
		return e.fail(path, "lies outside of the %d bytes of its container", len(dst))
	}
	return e.put(dst[at:at+uint64(size)], m.typ, false, path, v)
}

// findMember looks a member up by name.
func findMember(members []member, name string) (member, bool) {
	for m := range namedMembers(members) {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

func memberNames(members []member) []string {
	var names []string
	for m := range namedMembers(members) {
		names = append(names, m.name)
	}
	return names
}

// namedMembers yields the members that have a name, those of anonymous structs
// and unions included, as C finds them. A type inside itself is visited once.
func namedMembers(members []member) iter.Seq[member] {
	return func(yield func(member) bool) { visitNamed(members, 0, map[btf.Type]bool{}, yield) }
}

func visitNamed(members []member, bits uint64, seen map[btf.Type]bool, yield func(member) bool) bool {
	for _, m := range members {
		m.bits += bits
		if m.name != "" {
			if !yield(m) {
				return false
			}
			continue
		}
		inner := stripType(m.typ).typ
		parts, ok := membersOf(inner)
		if !ok || seen[inner] {
			continue
		}
		seen[inner] = true
		if !visitNamed(parts, m.bits, seen, yield) {
			return false
		}
	}
	return true
}

func (e *encoder) list(dst []byte, typ btf.Type, big bool, path string, list []any) error {
	a, ok := typ.(*btf.Array)
	if !ok {
		return e.fail(path, "is %s, not an array", describeType(typ, len(dst)))
	}
	if uint64(len(list)) > uint64(a.Nelems) {
		return e.fail(path, "has room for %d elements, not %d", a.Nelems, len(list))
	}
	for i, v := range list {
		if err := e.element(dst, a, big, path, uint64(i), v); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) indexed(dst []byte, a *btf.Array, path string, fields map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		i, err := strconv.ParseUint(name, 0, 32)
		if err != nil || i >= uint64(a.Nelems) {
			return e.fail(path, "has no element %q; it has elements 0 to %d", name, int64(a.Nelems)-1)
		}
		if err := e.element(dst, a, false, path, i, fields[name]); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) element(dst []byte, a *btf.Array, big bool, path string, i uint64, v any) error {
	size := sizeOf(a.Type)
	if size < 0 || (i+1)*uint64(size) > uint64(len(dst)) {
		return e.fail(path, "element %d lies outside of its %d bytes", i, len(dst))
	}
	at := i * uint64(size)
	return e.put(dst[at:at+uint64(size)], a.Type, big, fmt.Sprintf("%s[%d]", path, i), v)
}

// bits writes a bit field: from the low end of a byte on little-endian machines,
// from the high end on big-endian ones.
func (e *encoder) bits(dst []byte, m member, path string, v any) error {
	if m.width > 64 || m.bits+m.width > 8*uint64(len(dst)) {
		return e.fail(path, "lies outside of the %d bytes of its container", len(dst))
	}
	v, at := unlocate(v)
	text, ok := textOf(v)
	if !ok {
		return fail(at, path, "is a bit field of %d bits and takes a number", m.width)
	}
	n, err := integerOf(stripType(m.typ).typ, int(m.width), text)
	if err != nil {
		return fail(at, path, "%w", err)
	}
	for i := range m.width {
		bit, to := byte(n>>i&1), m.bits+i
		shift := to % 8
		if bigMachine() {
			to = m.bits + m.width - 1 - i
			shift = 7 - to%8
		}
		dst[to/8] = dst[to/8]&^(1<<shift) | bit<<shift
	}
	return nil
}

func bigMachine() bool {
	return binary.NativeEndian.Uint16([]byte{0, 1}) == 1
}
