package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func TestFlatten(t *testing.T) {
	recursive := structOf("list", 16)
	recursive.Members = []btf.Member{memberAt("n", 0, testU64), memberAt("self", 8, recursive)}
	endless := &btf.Typedef{Name: "endless"}
	endless.Type = endless
	tests := []struct {
		name string
		typ  btf.Type
		size int
		want string
	}{
		{"integer", testU32, 4, "value@0+4"},
		{"big endian", testBe16, 2, "value@0+2 big"},
		{"volatile", &btf.Volatile{Type: testBe64}, 8, "value@0+8 big"},
		{"struct", testVIP(), 8, "addr@0+4 big,port@4+2 big,proto@6+1,pad@7+1"},
		{"array", arrayOf(testVIP(), 2), 16, "[0].addr@0+4 big,[0].port@4+2 big,[0].proto@6+1,[0].pad@7+1," +
			"[1].addr@8+4 big,[1].port@12+2 big,[1].proto@14+1,[1].pad@15+1"},
		{
			"nested names", structOf("a", 12, memberAt("b", 0, testVIP()), memberAt("c", 8, arrayOf(testU16, 2))), 12,
			"b.addr@0+4 big,b.port@4+2 big,b.proto@6+1,b.pad@7+1,c[0]@8+2,c[1]@10+2",
		},
		{"union", &btf.Union{Name: "u", Size: 4, Members: []btf.Member{memberAt("a", 0, testU32), memberAt("b", 0, testU16)}}, 4, "a@0+4,b@0+2"},
		{"anonymous", structOf("s", 4, memberAt("", 0, structOf("", 4, memberAt("x", 0, testU32)))), 4, "x@0+4"},
		{"bit field", structOf("s", 4, btf.Member{Name: "b", Type: testU32, BitfieldSize: 3}, memberAt("c", 2, testU16)), 4, "c@2+2"},
		{"pointer", structOf("s", 16, memberAt("p", 0, &btf.Pointer{Target: testU32}), memberAt("c", 8, testU64)), 16, "c@8+8"},
		{"lock", structOf("s", 8, memberAt("l", 0, structOf("bpf_spin_lock", 4, memberAt("val", 0, testU32))), memberAt("c", 4, testU32)), 8, "c@4+4"},
		{"128 bits", &btf.Int{Size: 16}, 16, ""},
		{"beyond the size", testVIP(), 5, "addr@0+4 big"},
		{"out of order", structOf("s", 8, memberAt("b", 4, testU32), memberAt("a", 0, testU32)), 8, "a@0+4,b@4+4"},
		{"recursive", recursive, 16, "n@0+8,self.n@8+8"},
		{"endless typedef", endless, 8, ""},
		{"nil", nil, 8, ""},
		{"void", &btf.Void{}, 0, ""},
		{"section", testSpec().Maps[".bss"].Value, 8, "hits@0+8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range flatten(tt.typ, tt.size) {
				s := fmt.Sprintf("%s@%d+%d", f.Name, f.Offset, f.Size)
				if f.Big {
					s += " big"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ","); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

func TestFlattenValues(t *testing.T) {
	signed := &btf.Enum{Name: "e", Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "A", Value: ^uint64(0)}, {Name: "B", Value: 2}}}
	if got := flatten(signed, 4)[0].Values; !slices.Equal(got, []uint64{0xffffffff, 2}) {
		t.Errorf("values of an enum are %#x", got)
	}
	if f := flatten(testBool, 1)[0]; f.Max != 1 {
		t.Errorf("a bool may be as large as %d", f.Max)
	}
}

func TestFlattenBounds(t *testing.T) {
	wide := arrayOf(arrayOf(arrayOf(testU8, 1<<20), 1<<10), 1<<10)
	if got := len(flatten(wide, 1<<30)); got != maxFields {
		t.Errorf("a huge array has %d fields, want %d", got, maxFields)
	}
	barren := arrayOf(&btf.Pointer{Target: testU8}, 1<<31)
	if got := flatten(barren, 1<<40); len(got) != 0 {
		t.Errorf("an array of pointers has %d fields", len(got))
	}
}

// hostileType makes a type from bytes: any kinds, sizes, offsets and cycles.
func hostileType(data []byte) btf.Type {
	next := func() uint32 {
		if len(data) == 0 {
			return 0
		}
		n := uint32(data[0])
		data = data[1:]
		return n
	}
	wide := func() uint32 {
		if len(data) < 4 {
			return next()
		}
		n := binary.LittleEndian.Uint32(data)
		data = data[4:]
		return n
	}
	count := 1 + next()%16
	types := make([]btf.Type, count)
	for i := range types {
		switch next() % 10 {
		case 0:
			types[i] = &btf.Int{Name: "int", Size: next(), Encoding: btf.IntEncoding(next() % 8)}
		case 1, 2:
			types[i] = &btf.Struct{Name: "s", Size: wide()}
		case 3:
			types[i] = &btf.Union{Name: "u", Size: next()}
		case 4, 5:
			types[i] = &btf.Array{Nelems: wide()}
		case 6:
			types[i] = &btf.Typedef{Name: "__be32"}
		case 7:
			types[i] = &btf.Enum{Size: next(), Values: []btf.EnumValue{{Name: "A", Value: uint64(wide())}}}
		case 8:
			types[i] = &btf.Pointer{}
		case 9:
			types[i] = &btf.Const{}
		}
	}
	pick := func() btf.Type { return types[next()%count] }
	members := func() []btf.Member {
		m := make([]btf.Member, next()%8)
		for i := range m {
			m[i] = btf.Member{Name: string([]byte("\x00abcdefg")[i : i+1]), Type: pick(), Offset: btf.Bits(wide()), BitfieldSize: btf.Bits(next() % 3)}
			if i == 0 {
				m[i].Name = ""
			}
		}
		return m
	}
	for _, typ := range types {
		switch t := typ.(type) {
		case *btf.Struct:
			t.Members = members()
		case *btf.Union:
			t.Members = members()
		case *btf.Array:
			t.Type = pick()
		case *btf.Typedef:
			t.Type = pick()
		case *btf.Pointer:
			t.Target = pick()
		case *btf.Const:
			t.Type = pick()
		}
	}
	return types[0]
}

func FuzzFlatten(f *testing.F) {
	f.Add([]byte{2, 1, 8, 0, 0, 0, 0, 4, 0, 3, 0, 0, 0, 0, 0}, uint16(64), "a: 1")
	f.Add([]byte{3, 4, 255, 255, 255, 255, 1, 16, 0, 0, 0, 6, 1, 2, 0, 1}, uint16(8), "0x00")
	f.Add([]byte{1, 3, 8, 7, 0, 0, 0, 0, 0, 0, 0}, uint16(8), "be(7)")
	f.Fuzz(func(t *testing.T, data []byte, size uint16, text string) {
		typ := hostileType(data)
		fields := flatten(typ, int(size))
		if len(fields) > maxFields {
			t.Fatalf("%d fields", len(fields))
		}
		for i, f := range fields {
			if f.Offset < 0 || f.Size < 1 || f.Offset+f.Size > int(size) || f.Name == "" {
				t.Fatalf("field %+v of a type of %d bytes", f, size)
			}
			if i > 0 && f.Offset < fields[i-1].Offset {
				t.Fatalf("field %+v is out of order", f)
			}
		}
		raw := make([]byte, size)
		display(typ, raw)
		ownedBy(typ)
		if n := sizeOf(typ); n < 0 || n > 1<<16 {
			return
		}
		for _, v := range []any{text, map[string]any{"a": text, "b.c": text, "0": text}, []any{text, text}} {
			if out, err := encode(typ, int(sizeOf(typ)), "v", v); err == nil && len(out) != int(sizeOf(typ)) {
				t.Fatalf("encoded to %d bytes", len(out))
			}
		}
	})
}
