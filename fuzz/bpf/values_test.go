package bpf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// native writes integers in the machine's order, and []byte as they are.
func native(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		out, _ = binary.Append(out, binary.NativeEndian, p)
	}
	return out
}

func TestEncode(t *testing.T) {
	wide := structOf("w", 24, memberAt("v", 0, testU32), memberAt("", 4, structOf("", 4, memberAt("in", 0, testU32))), memberAt("a", 8, arrayOf(testBe32, 4)))
	tests := []struct {
		name string
		typ  btf.Type
		size int
		v    any
		want []byte
	}{
		{"number", testU32, 4, 31337, native(uint32(31337))},
		{"number as text", testU32, 4, "0x7a69", native(uint32(0x7a69))},
		{"network order by type", testBe16, 2, 4433, []byte{0x11, 0x51}},
		{"network order forced", testU16, 2, "be(4433)", []byte{0x11, 0x51}},
		{"network order of eight bytes", testBe64, 8, 1, []byte{0, 0, 0, 0, 0, 0, 0, 1}},
		{"negative", testS32, 4, -1, []byte{255, 255, 255, 255}},
		{"lowest", testS32, 4, "-2147483648", native(uint32(1 << 31))},
		{"largest", testU64, 8, "18446744073709551615", bytes.Repeat([]byte{255}, 8)},
		{"bool", testBool, 1, true, []byte{1}},
		{"underscores", testU32, 4, "1_000", native(uint32(1000))},
		{"IPv4 in a machine's integer", testU32, 4, "10.9.8.7", []byte{10, 9, 8, 7}},
		{"IPv4 in network order", testBe32, 4, "10.9.8.7", []byte{10, 9, 8, 7}},
		{"IPv4 without BTF", nil, 4, "10.9.8.7", []byte{10, 9, 8, 7}},
		{"Go address", testU32, 4, netip.MustParseAddr("1.2.3.4"), []byte{1, 2, 3, 4}},
		{"IPv6 in bytes", arrayOf(testU8, 16), 16, "fd00::1", append([]byte{0xfd}, append(make([]byte, 14), 1)...)},
		{"IPv6 in words", arrayOf(testBe32, 4), 16, "fd00::1", append([]byte{0xfd}, append(make([]byte, 14), 1)...)},
		{"MAC", arrayOf(testU8, 6), 6, "02:00:5e:00:53:01", []byte{2, 0, 0x5e, 0, 0x53, 1}},
		{"MAC without BTF", nil, 6, "02:00:5e:00:53:01", []byte{2, 0, 0x5e, 0, 0x53, 1}},
		{"text", arrayOf(testChar, 8), 8, "eth0", []byte("eth0\x00\x00\x00\x00")},
		{"text that fills", arrayOf(testChar, 4), 4, "eth0", []byte("eth0")},
		{"struct", testVIP(), 8, map[string]any{"addr": "10.9.8.7", "port": 4433, "proto": 17}, []byte{10, 9, 8, 7, 0x11, 0x51, 17, 0}},
		{"missing fields", testVIP(), 8, map[string]any{"proto": 6}, []byte{0, 0, 0, 0, 0, 0, 6, 0}},
		{"hex", testVIP(), 8, "0x0a09080711511100", []byte{10, 9, 8, 7, 0x11, 0x51, 17, 0}},
		{"hex with spaces", testVIP(), 8, "0a 09 08 07 11 51 11 00", []byte{10, 9, 8, 7, 0x11, 0x51, 17, 0}},
		{"hex as bpftool takes it", testVIP(), 8, "0x0a 0x09 0x08 0x07 0x11 0x51 0x11 0x00", []byte{10, 9, 8, 7, 0x11, 0x51, 17, 0}},
		{"hex forced", arrayOf(testChar, 2), 2, "hex(00ff)", []byte{0, 255}},
		{"hex in an integer", testU32, 4, "0a 09 08 07", []byte{10, 9, 8, 7}},
		{"hex without BTF", nil, 3, "0a0908", []byte{10, 9, 8}},
		{"number without BTF", nil, 4, "1", native(uint32(1))},
		{"short hex without BTF", nil, 4, "0x1", native(uint32(1))},
		{"all hex digits without BTF", nil, 4, "0x00000001", []byte{0, 0, 0, 1}},
		{"bytes", testVIP(), 8, []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{"Go array", testVIP(), 8, [2]uint32{1, 2}, native(uint32(1), uint32(2))},
		{
			"anonymous and array", wide, 24,
			map[string]any{"v": 1, "in": 2, "a": []any{3, 4}},
			append(native(uint32(1), uint32(2)), 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0),
		},
		{"array by index", arrayOf(testU16, 4), 8, map[string]any{"2": 7}, native([]uint16{0, 0, 7, 0})},
		{"Go slice", arrayOf(testU16, 2), 4, []int{1, 2}, native([]uint16{1, 2})},
		{"enum", testEverything(), 88, map[string]any{"family": "FAMILY_IPV6"}, append(append(make([]byte, 44), native(uint32(6))...), make([]byte, 40)...)},
		{"dotted", structOf("o", 8, memberAt("v", 0, testVIP())), 8, map[string]any{"v.port": 1, "v.proto": 2}, []byte{0, 0, 0, 0, 0, 1, 2, 0}},
		{"located", testU16, 2, Located{At: "f:1", Value: "7"}, native(uint16(7))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := encode(tt.typ, tt.size, "v", tt.v)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, tt.want) {
				t.Errorf("got  %x\nwant %x", got, tt.want)
			}
		})
	}
}

func TestEncodeBitFields(t *testing.T) {
	if bigMachine() {
		t.Skip("the expected bytes are those of a little-endian machine")
	}
	got, err := encode(testEverything(), 88, "v", map[string]any{"low": 5, "high": 0x1001})
	if err != nil {
		t.Fatal(err)
	}
	if want := uint16(5 | 0x1001<<3); binary.LittleEndian.Uint16(got[30:]) != want {
		t.Errorf("got %x, want %x", got[30:32], want)
	}
}

func TestEncodeErrors(t *testing.T) {
	everything := testEverything()
	tests := []struct {
		name string
		typ  btf.Type
		size int
		v    any
		want string
	}{
		{"too large", testBe16, 2, 70000, "v: 70000 does not fit 2 bytes (0 to 65535)"},
		{"negative", testU8, 1, "-1", "v: -1 does not fit 1 byte (0 to 255)"},
		{"signed", testS32, 4, "2147483648", "v: 2147483648 does not fit 4 bytes (-2147483648 to 2147483647)"},
		{"beyond 64 bits", testU64, 8, "18446744073709551616", "v: 18446744073709551616 does not fit 8 bytes (0 to 18446744073709551615)"},
		{"bool", testBool, 1, 2, "v: 2 does not fit 1 bit (0 to 1)"},
		{"bit field", everything, 88, map[string]any{"low": 8}, "v.low: 8 does not fit 3 bits (0 to 7)"},
		{"no number", testU16, 2, "https", `v: "https" is not an integer`},
		{"octal", testU16, 2, "010", `v: "010" has a leading zero: write 10, or 0o10 for octal`},
		{"unknown member", testVIP(), 8, map[string]any{"prot": 6}, `v: has no member "prot"; did you mean proto?`},
		{"unknown anonymous member", everything, 88, map[string]any{"v5": 6}, `v: has no member "v5"; did you mean v4 or v6?`},
		{"enum", everything, 88, map[string]any{"family": "FAMILY_IPV5"}, `v.family: enum family has no constant "FAMILY_IPV5"; did you mean FAMILY_IPV4 or FAMILY_IPV6?`},
		{"short address", arrayOf(testU8, 16), 16, "10.0.0.1", "v: the address 10.0.0.1 takes 4 bytes, here are 16; for the IPv4-mapped form write ::ffff:10.0.0.1"},
		{"long address", testBe32, 4, "fd00::1", "v: the address fd00::1 takes 16 bytes, here are 4"},
		{"long text", arrayOf(testChar, 4), 4, "lo-12", `v: "lo-12" has 5 characters, here is room for 4`},
		{"short hex", testVIP(), 8, "0a09", `v: takes 8 bytes of hex digits, "0a09" has 2`},
		{"not hex", testVIP(), 8, "x", `v: "x" is neither an address nor hex digits of 8 bytes`},
		{"members of an integer", testU32, 4, map[string]any{"a": 1}, "v: is an integer of 4 bytes and has no members"},
		{"members without BTF", nil, 8, map[string]any{"a": 1}, "v: is 8 bytes without BTF and has no members"},
		{"list in a struct", testVIP(), 8, []any{1}, "v: is struct vip, not an array"},
		{"long list", arrayOf(testU8, 2), 2, []any{1, 2, 3}, "v: has room for 2 elements, not 3"},
		{"index", arrayOf(testU8, 2), 2, map[string]any{"2": 1}, `v: has no element "2"; it has elements 0 to 1`},
		{"element", arrayOf(testU8, 2), 2, []any{1, 256}, "v[1]: 256 does not fit 1 byte (0 to 255)"},
		{"lock", everything, 88, map[string]any{"lock": 1}, "v.lock: a struct bpf_spin_lock is kept by the kernel and cannot be written"},
		{"nil", testU8, 1, nil, "v: has no value; leave it out for zero"},
		{"bytes", testU8, 1, []byte{1, 2}, "v: takes 1 bytes, not 2"},
		{"Go value", testU16, 2, [3]byte{}, "v: cannot write a [3]uint8 into 2 bytes"},
		{"pointer", &btf.Pointer{Target: testU8}, 8, "1", "v: is a pointer, which can be written as hex(...) only"},
		{"size", testU16, 4, 1, "v: its BTF type has 2 bytes, its definition 4"},
		{"line", testVIP(), 8, Located{"f:1", map[string]any{"port": Located{"f:3", "65536"}}}, "f:3: v.port: 65536 does not fit 2 bytes (0 to 65535)"},
		{"line of a name", testVIP(), 8, Located{"f:1", map[string]any{"porq": Located{"f:3", "1"}}}, `f:3: v: has no member "porq"; did you mean port?`},
		{"line of an outer value", testVIP(), 8, Located{"f:1", map[string]any{"port": "65536"}}, "f:1: v.port: 65536 does not fit 2 bytes (0 to 65535)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := encode(tt.typ, tt.size, "v", tt.v)
			if err == nil {
				t.Fatalf("got %x, want an error", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestEncodeFields(t *testing.T) {
	fields := skbContext(3712, nil)
	got, err := encodeFields(fields, skbSize, "context", map[string]any{"mark": 7, "cb": []any{1, "0x2"}, "cb[4]": -1, "tstamp": 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, skbSize)
	copy(want[8:], native(uint32(7)))
	copy(want[48:], native(uint32(1), uint32(2)))
	copy(want[64:], native(uint32(0xffffffff)))
	copy(want[152:], native(uint64(1<<40)))
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"unknown", map[string]any{"marc": 1}, `context: has no field "marc" that an input may set; did you mean mark?`},
		{"range", map[string]any{"ifindex": 2}, "context.ifindex: 2 is outside of 0 to 1, which is what the kernel accepts"},
		{"width", map[string]any{"mark": 1 << 32}, "context.mark: 4294967296 does not fit 4 bytes (-2147483648 to 4294967295)"},
		{"index", map[string]any{"cb": []any{0, 0, 0, 0, 0, 0}}, `context: has no field "cb[5]" that an input may set; did you mean cb[0] or cb[1] or cb[2]?`},
		{"form", "7", "context: takes fields by name, as {mark: 7}"},
		{"value", Located{"f:2", map[string]any{"mark": map[string]any{}}}, "f:2: context.mark: takes a number of 4 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := encodeFields(fields, skbSize, "context", tt.v); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	outside := []corpus.Field{{Name: "a", Offset: 4, Size: 4}}
	if _, err := encodeFields(outside, 4, "context", map[string]any{"a": 1}); err == nil {
		t.Error("a field outside of the context was written")
	}
}

// What is displayed must read back, through YAML, to the same bytes.
func TestDisplayReadsBack(t *testing.T) {
	tests := []struct {
		name string
		typ  btf.Type
		v    any
		want string
	}{
		{"vip", testVIP(), map[string]any{"addr": "10.9.8.7", "port": 4433, "proto": 17}, "{addr: 10.9.8.7, port: 4433, proto: 17}"},
		{"zero", testVIP(), map[string]any{}, "{}"},
		{"integer", testU32, 31337, "31337"},
		{"negative", testS32, -5, "-5"},
		{"no BTF", nil, "hex(00ff)", "hex(00ff)"},
		{"everything", testEverything(), map[string]any{
			"u64": 1, "v6": "fd00::1", "mac": "02:00:5e:00:53:01", "low": 5, "high": 4097, "name": "eth0", "s32": -5, "family": "FAMILY_IPV4",
			"be64": 9, "list": []any{1, 2}, "ok": true, "vip": map[string]any{"port": 80}, "port": 443,
		}, `{u64: 1, v6: "fd00::1", mac: 02:00:5e:00:53:01, low: 5, high: 4097, name: "eth0", s32: -5, family: FAMILY_IPV4, ` +
			`be64: 9, list: [1, 2, 0], ok: 1, vip: {port: 80}, port: 443}`},
		{"text that cannot be quoted", arrayOf(testChar, 4), "hex(01020304)", "hex(01020304)"},
		{"bytes", arrayOf(testU8, 3), "010203", "hex(010203)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			size := int(sizeOf(tt.typ))
			if tt.typ == nil {
				size = 2
			}
			data, err := encode(tt.typ, size, "v", tt.v)
			if err != nil {
				t.Fatal(err)
			}
			text := display(tt.typ, data)
			if text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
			file, err := ParseTargetFile("t.yaml", []byte("variables: {v: "+text+"}"))
			if err != nil {
				t.Fatal(err)
			}
			back, err := encode(tt.typ, size, "v", file.Variables["v"])
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%s reads back as %x, %v; want %x", text, back, err, data)
			}
		})
	}
}

func TestNeighbours(t *testing.T) {
	many := strings.Fields("a b c d e f g h i j k l m n o p")
	for _, tt := range []struct {
		name  string
		known []string
		want  string
	}{
		{"prot", []string{"proto", "port", "addr"}, "did you mean proto?"},
		{"zzzz", []string{"b", "a"}, "known are a, b"},
		{"x", nil, "there are none"},
		{"zzzz", many, "known are a, b, c, d, e, f, g, h, i, j, k, l and 4 more"},
		{"MARK", []string{"mark"}, "did you mean mark?"},
		{strings.Repeat("x", 1000), []string{"mark"}, "known are mark"},
	} {
		if got := strict.Neighbours(tt.name, tt.known); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
