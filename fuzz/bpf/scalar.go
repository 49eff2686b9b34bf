package bpf

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

var errNoInteger = errors.New("not an integer")

// text writes what was given as text: a number, an address, an enum's constant,
// characters or hex digits, as the type and the text say.
func (e *encoder) text(dst []byte, typ btf.Type, big bool, path, text string) error {
	if digits, ok := argument(text, "hex"); ok {
		return e.hex(dst, path, digits)
	}
	if isCharArray(typ) {
		return e.chars(dst, path, text)
	}
	if raw := addressOf(text); raw != nil {
		return e.address(dst, path, text, raw)
	}
	switch t := typ.(type) {
	case *btf.Int, *btf.Enum:
		return e.integer(dst, typ, big, path, text)
	case nil:
		if isIntegerSize(len(dst)) && !isFullHex(text, len(dst)) {
			return e.integer(dst, &btf.Int{Size: uint32(len(dst))}, big, path, text)
		}
	case *btf.Struct, *btf.Union, *btf.Array, *btf.Datasec:
	default:
		return e.fail(path, "is %s, which can be written as hex(...) only", describeType(t, len(dst)))
	}
	return e.hex(dst, path, text)
}

func (e *encoder) integer(dst []byte, typ btf.Type, big bool, path, text string) error {
	if inner, ok := argument(text, "be"); ok {
		big, text = true, inner
	}
	if !isIntegerSize(len(dst)) || strings.Contains(strings.TrimSpace(text), " ") {
		return e.hex(dst, path, text)
	}
	n, err := integerOf(typ, 8*len(dst), text)
	if err != nil {
		return e.fail(path, "%w", err)
	}
	putInteger(dst, n, big)
	return nil
}

// isFullHex reports whether text has all hex digits of n bytes. Without BTF they are
// bytes in their order in memory, not a number.
func isFullHex(text string, n int) bool {
	digits, ok := strings.CutPrefix(strings.TrimSpace(text), "0x")
	return ok && len(digits) == 2*n
}

func isIntegerSize(n int) bool { return n == 1 || n == 2 || n == 4 || n == 8 }

// integerOf reads a number for an integer or enum type of the given bits.
func integerOf(typ btf.Type, bits int, text string) (uint64, error) {
	switch t := typ.(type) {
	case *btf.Enum:
		return enumOf(t, bits, text)
	case *btf.Int:
		if t.Encoding == btf.Bool {
			bits = 1
		}
		return parseInteger(text, bits, t.Encoding != btf.Signed, t.Encoding == btf.Signed)
	}
	return parseInteger(text, bits, true, false)
}

func enumOf(t *btf.Enum, bits int, text string) (uint64, error) {
	names := make([]string, len(t.Values))
	for i, v := range t.Values {
		if names[i] = v.Name; v.Name == strings.TrimSpace(text) {
			return v.Value & widthMask(bits), nil
		}
	}
	n, err := parseInteger(text, bits, !t.Signed, t.Signed)
	if errors.Is(err, errNoInteger) {
		return 0, fmt.Errorf("enum %s has no constant %q; %s", t.Name, text, strict.Neighbours(text, names))
	}
	return n, err
}

// parseInteger reads a number and checks that it fits. At least one of unsigned
// and signed is set: what of the two ranges is legal.
func parseInteger(text string, bits int, unsigned, signed bool) (uint64, error) {
	text = strings.TrimSpace(text)
	switch text {
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	if bits < 1 || bits > 64 {
		return 0, fmt.Errorf("a number of %d bits cannot be written; use hex(...)", bits)
	}
	if octal := strings.TrimLeft(text, "0"); len(octal) < len(text) && octal != "" && octal[0] >= '0' && octal[0] <= '9' {
		return 0, fmt.Errorf("%q has a leading zero: write %s, or 0o%s for octal", text, octal, octal)
	}
	n, err := strconv.ParseUint(text, 0, 64)
	negative := false
	if err != nil && strings.HasPrefix(text, "-") {
		var i int64
		i, err = strconv.ParseInt(text, 0, 64)
		n, negative = uint64(i), i < 0
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
	case err != nil:
		return 0, fmt.Errorf("%q is %w", text, errNoInteger)
	case negative && signed && n >= -(uint64(1)<<(bits-1)):
		return n & widthMask(bits), nil
	case !negative && unsigned && n <= widthMask(bits), !negative && n <= widthMask(bits)>>1:
		return n, nil
	}
	return 0, fmt.Errorf("%s does not fit %s (%s)", text, width(bits), rangeOf(bits, unsigned, signed))
}

func width(bits int) string {
	switch {
	case bits == 8:
		return "1 byte"
	case bits == 1:
		return "1 bit"
	case bits%8 == 0:
		return fmt.Sprintf("%d bytes", bits/8)
	}
	return fmt.Sprintf("%d bits", bits)
}

func rangeOf(bits int, unsigned, signed bool) string {
	low, high := int64(0), widthMask(bits)
	if signed {
		low = -1 << (bits - 1)
	}
	if !unsigned {
		high >>= 1
	}
	return fmt.Sprintf("%d to %d", low, high)
}

func widthMask(bits int) uint64 {
	if bits >= 64 {
		return ^uint64(0)
	}
	return 1<<bits - 1
}

// putInteger stores the low bytes of n; len(dst) is 1, 2, 4 or 8.
func putInteger(dst []byte, n uint64, big bool) {
	var all [8]byte
	binary.LittleEndian.PutUint64(all[:], n)
	copy(dst, all[:])
	if big || bigMachine() {
		slices.Reverse(dst)
	}
}

// addressOf returns the bytes of an IPv4, IPv6 or MAC address as they are on the
// wire, or nil where text is none.
func addressOf(text string) []byte {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, ":") && strings.Count(text, ".") != 3 {
		return nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return a.AsSlice()
	}
	if mac, err := net.ParseMAC(text); err == nil && len(mac) == 6 {
		return mac
	}
	return nil
}

func (e *encoder) address(dst []byte, path, text string, raw []byte) error {
	if len(raw) == len(dst) {
		copy(dst, raw)
		return nil
	}
	hint := ""
	if len(raw) == 4 && len(dst) == 16 {
		hint = fmt.Sprintf("; for the IPv4-mapped form write ::ffff:%s", text)
	}
	return e.fail(path, "the address %s takes %d bytes, here are %d%s", text, len(raw), len(dst), hint)
}

func isCharArray(typ btf.Type) bool {
	a, ok := typ.(*btf.Array)
	if !ok {
		return false
	}
	i, ok := stripType(a.Type).typ.(*btf.Int)
	return ok && i.Size == 1 && (i.Name == "char" || i.Encoding == btf.Char)
}

func (e *encoder) chars(dst []byte, path, text string) error {
	if len(text) > len(dst) {
		return e.fail(path, "%q has %d characters, here is room for %d", text, len(text), len(dst))
	}
	copy(dst, text)
	return nil
}

// hex writes bytes in their order in memory: "0x0a09", "0a 09" or "0x0a 0x09".
func (e *encoder) hex(dst []byte, path, text string) error {
	groups := strings.Fields(text)
	for i, g := range groups {
		groups[i] = strings.TrimPrefix(strings.TrimPrefix(g, "0x"), "0X")
	}
	raw, err := hex.DecodeString(strings.Join(groups, ""))
	if err != nil {
		return e.fail(path, "%q is neither an address nor hex digits of %d bytes", text, len(dst))
	}
	if len(raw) != len(dst) {
		return e.fail(path, "takes %d bytes of hex digits, %q has %d", len(dst), text, len(raw))
	}
	copy(dst, raw)
	return nil
}

// argument returns the inside of "name(inside)".
func argument(text, name string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), name+"(")
	if !ok || !strings.HasSuffix(rest, ")") {
		return "", false
	}
	return strings.TrimSpace(strings.TrimSuffix(rest, ")")), true
}

// describeType names a type for an error message without following it, since a
// hostile one may be endless.
func describeType(typ btf.Type, size int) string {
	switch t := typ.(type) {
	case nil:
		return fmt.Sprintf("%d bytes without BTF", size)
	case *btf.Int:
		return fmt.Sprintf("an integer of %d bytes", size)
	case *btf.Enum:
		return "enum " + t.Name
	case *btf.Struct:
		return "struct " + t.Name
	case *btf.Union:
		return "union " + t.Name
	case *btf.Datasec:
		return "section " + t.Name
	case *btf.Array:
		return fmt.Sprintf("an array of %d elements", t.Nelems)
	case *btf.Pointer:
		return "a pointer"
	case *btf.Float:
		return "a floating-point number"
	}
	return fmt.Sprintf("a type that has no value (%T)", typ)
}

// integerAt reads what putInteger stores.
func integerAt(src []byte, big bool) uint64 {
	var n uint64
	for i := range src {
		b := src[i]
		if !big && !bigMachine() {
			b = src[len(src)-1-i]
		}
		n = n<<8 | uint64(b)
	}
	return n
}
