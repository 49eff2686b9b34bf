package bpf

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// display writes a key or value as a target file would have it: encode reads it
// back to the same bytes, apart from padding, from bit fields that overlap, and
// from what the kernel owns. What does not fit typ, or has none, is in hex.
func display(typ btf.Type, data []byte) string {
	if typ == nil || sizeOf(typ) != int64(len(data)) {
		return hexText(data)
	}
	p := printer{}
	p.put(typ, false, data, 0)
	return p.out.String()
}

type printer struct {
	out    strings.Builder
	visits int
}

func hexText(data []byte) string { return "hex(" + hex.EncodeToString(data) + ")" }

func (p *printer) put(typ btf.Type, big bool, data []byte, depth int) {
	p.visits++
	t := stripType(typ)
	big = big || t.big
	if _, ok := membersOf(t.typ); ok && depth < maxTypeDepth && p.visits < maxVisits {
		p.out.WriteByte('{')
		p.members(t.typ, data, depth, true)
		p.out.WriteByte('}')
		return
	}
	switch t := t.typ.(type) {
	case *btf.Int:
		if t.Encoding == btf.Bool && len(data) == 1 && data[0] > 1 {
			p.out.WriteString(hexText(data))
			return
		}
		p.integer(data, big, t.Encoding == btf.Signed)
	case *btf.Enum:
		p.enum(t, data, big)
	case *btf.Array:
		p.array(t, big, data, depth)
	default:
		p.out.WriteString(hexText(data))
	}
}

// members writes what is not zero, and reports whether that was nothing. Of a
// union it writes the largest alternative only.
func (p *printer) members(typ btf.Type, data []byte, depth int, first bool) bool {
	members, _ := membersOf(typ)
	if _, union := typ.(*btf.Union); union && len(members) > 0 {
		members = []member{slices.MaxFunc(members, func(a, b member) int { return int(sizeOf(a.typ) - sizeOf(b.typ)) })}
	}
	for _, m := range members {
		if p.visits++; p.visits >= maxVisits {
			break
		}
		if m.width != 0 {
			first = p.bitField(m, data, first)
			continue
		}
		size, at := sizeOf(m.typ), m.bits/8
		if size < 0 || at > uint64(len(data)) || uint64(size) > uint64(len(data))-at {
			continue
		}
		first = p.member(m, data[at:at+uint64(size)], depth, first)
	}
	return first
}

func (p *printer) member(m member, part []byte, depth int, first bool) bool {
	inner := stripType(m.typ).typ
	if _, ok := membersOf(inner); ok && m.name == "" {
		if depth < maxTypeDepth {
			first = p.members(inner, part, depth+1, first)
		}
		return first
	}
	if m.name == "" || isKernelOwned(nameOf(inner)) || strings.Trim(string(part), "\x00") == "" {
		return first
	}
	first = p.name(m.name, first)
	p.put(m.typ, false, part, depth+1)
	return first
}

func nameOf(typ btf.Type) string {
	if typ == nil {
		return ""
	}
	return typ.TypeName()
}

func (p *printer) name(name string, first bool) bool {
	if !first {
		p.out.WriteString(", ")
	}
	p.out.WriteString(name + ": ")
	return false
}

func (p *printer) bitField(m member, data []byte, first bool) bool {
	if m.name == "" || m.width > 64 || m.bits+m.width > 8*uint64(len(data)) {
		return first
	}
	var n uint64
	for i := range m.width {
		at, shift := m.bits+i, (m.bits+i)%8
		if bigMachine() {
			at = m.bits + m.width - 1 - i
			shift = 7 - at%8
		}
		n |= uint64(data[at/8]>>shift&1) << i
	}
	if n == 0 {
		return first
	}
	first = p.name(m.name, first)
	if i, ok := stripType(m.typ).typ.(*btf.Int); ok && i.Encoding == btf.Signed {
		p.out.WriteString(strconv.FormatInt(int64(n<<(64-m.width))>>(64-m.width), 10))
	} else {
		p.out.WriteString(strconv.FormatUint(n, 10))
	}
	return first
}

func (p *printer) integer(data []byte, big, signed bool) {
	switch {
	case !isIntegerSize(len(data)):
		p.out.WriteString(hexText(data))
	case big && len(data) == 4:
		p.out.WriteString(netip.AddrFrom4([4]byte(data)).String())
	case signed:
		shift := 64 - 8*len(data)
		p.out.WriteString(strconv.FormatInt(int64(integerAt(data, big)<<shift)>>shift, 10))
	default:
		p.out.WriteString(strconv.FormatUint(integerAt(data, big), 10))
	}
}

func (p *printer) enum(t *btf.Enum, data []byte, big bool) {
	if isIntegerSize(len(data)) {
		n := integerAt(data, big)
		for _, v := range t.Values {
			if v.Value&widthMask(8*len(data)) == n {
				p.out.WriteString(v.Name)
				return
			}
		}
	}
	p.integer(data, big, t.Signed)
}

func (p *printer) array(t *btf.Array, big bool, data []byte, depth int) {
	size := sizeOf(t.Type)
	i, isInt := stripType(t.Type).typ.(*btf.Int)
	switch {
	case isCharArray(t) && isPlain(data):
		p.out.WriteString(strconv.Quote(strings.TrimRight(string(data), "\x00")))
	case isInt && i.Size == 1 && len(data) == 6:
		p.out.WriteString(net.HardwareAddr(data).String())
	case isInt && len(data) == 16 && (i.Size == 1 || stripType(t.Type).big):
		p.out.WriteString(`"` + netip.AddrFrom16([16]byte(data)).String() + `"`)
	case size <= 0 || isInt && i.Size == 1 || depth >= maxTypeDepth || len(data) > maxFields:
		p.out.WriteString(hexText(data))
	default:
		p.out.WriteByte('[')
		for at := 0; at+int(size) <= len(data); at += int(size) {
			if at > 0 {
				p.out.WriteString(", ")
			}
			p.put(t.Type, big, data[at:at+int(size)], depth+1)
		}
		p.out.WriteByte(']')
	}
}

// isPlain reports whether data is text, padded with zeros, that survives quoting.
func isPlain(data []byte) bool {
	text := strings.TrimRight(string(data), "\x00")
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	_, call := argument(text, "hex")
	return !call && strconv.Quote(text) == `"`+text+`"`
}
