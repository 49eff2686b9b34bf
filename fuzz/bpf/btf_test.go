package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Types as clang describes them, for the tests of this package.
var (
	testU8   = &btf.Typedef{Name: "__u8", Type: &btf.Int{Name: "unsigned char", Size: 1}}
	testU16  = &btf.Typedef{Name: "__u16", Type: &btf.Int{Name: "unsigned short", Size: 2}}
	testU32  = &btf.Typedef{Name: "__u32", Type: &btf.Int{Name: "unsigned int", Size: 4}}
	testU64  = &btf.Typedef{Name: "__u64", Type: &btf.Int{Name: "unsigned long long", Size: 8}}
	testS32  = &btf.Typedef{Name: "__s32", Type: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}
	testBool = &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	testChar = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	testBe16 = &btf.Typedef{Name: "__be16", Type: testU16}
	testBe32 = &btf.Typedef{Name: "__be32", Type: testU32}
	testBe64 = &btf.Typedef{Name: "__be64", Type: testU64}
)

func arrayOf(typ btf.Type, n uint32) *btf.Array {
	return &btf.Array{Index: testU32, Type: typ, Nelems: n}
}

func structOf(name string, size uint32, members ...btf.Member) *btf.Struct {
	return &btf.Struct{Name: name, Size: size, Members: members}
}

// memberAt makes a member at an offset in bytes.
func memberAt(name string, offset uint32, typ btf.Type) btf.Member {
	return btf.Member{Name: name, Type: typ, Offset: btf.Bits(8 * offset)}
}

// testVIP is struct vip { __be32 addr; __be16 port; __u8 proto; __u8 pad; }.
func testVIP() *btf.Struct {
	return structOf("vip", 8, memberAt("addr", 0, testBe32), memberAt("port", 4, testBe16),
		memberAt("proto", 6, testU8), memberAt("pad", 7, testU8))
}

// testEverything has a member of each kind that a value may have.
func testEverything() *btf.Struct {
	family := &btf.Enum{Name: "family", Size: 4, Values: []btf.EnumValue{{Name: "FAMILY_NONE"}, {Name: "FAMILY_IPV4", Value: 4}, {Name: "FAMILY_IPV6", Value: 6}}}
	addr := &btf.Union{Size: 16, Members: []btf.Member{memberAt("v4", 0, testBe32), memberAt("v6", 0, arrayOf(testBe32, 4))}}
	return structOf("everything", 88,
		memberAt("u64", 0, testU64),
		memberAt("", 8, addr),
		memberAt("mac", 24, arrayOf(testU8, 6)),
		btf.Member{Name: "low", Type: testU16, Offset: 240, BitfieldSize: 3},
		btf.Member{Name: "high", Type: testU16, Offset: 243, BitfieldSize: 13},
		memberAt("name", 32, arrayOf(testChar, 8)),
		memberAt("s32", 40, testS32),
		memberAt("family", 44, family),
		memberAt("be64", 48, testBe64),
		memberAt("list", 56, arrayOf(testU32, 3)),
		memberAt("ok", 68, testBool),
		memberAt("lock", 72, structOf("bpf_spin_lock", 4, memberAt("val", 0, testU32))),
		memberAt("vip", 76, testVIP()),
		memberAt("port", 84, testU16),
	)
}

// testSpec is an object with two programs, a tail call and maps of several kinds.
func testSpec() *ebpf.CollectionSpec {
	load := func(name string) asm.Instruction { return asm.LoadMapPtr(asm.R1, 0).WithReference(name) }
	entry := asm.Instructions{
		load("vips").WithSymbol("entry"),
		load("jmp"),
		load(".rodata"),
		load(".bss"),
		load("events"),
		asm.JEq.Imm(asm.R1, 0xdd86, "out"),
		asm.JNE.Imm32(asm.R1, 8, "out"),
		asm.StoreImm(asm.R10, -8, 0x12345678, asm.Word),
		asm.LoadImm(asm.R2, 0x1122334455667788, asm.DWord),
		asm.JSGT.Imm(asm.R1, -22, "out"),
		asm.Mov.Imm(asm.R0, 1),
		asm.Return().WithSymbol("out"),
	}
	callee := asm.Instructions{
		load("flows").WithSymbol("callee"),
		asm.JEq.Imm(asm.R1, 0x1151, "end"),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return().WithSymbol("end"),
	}
	port := &btf.Var{Name: "port", Type: &btf.Const{Type: testU16}, Linkage: btf.GlobalVar}
	name := &btf.Var{Name: "name", Type: arrayOf(testChar, 8), Linkage: btf.GlobalVar}
	hits := &btf.Var{Name: "hits", Type: testU64, Linkage: btf.GlobalVar}
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{
			"entry":  {Name: "entry", Type: ebpf.XDP, Instructions: entry, License: "MIT"},
			"callee": {Name: "callee", Type: ebpf.XDP, Instructions: callee, License: "MIT"},
			"tc":     {Name: "tc", Type: ebpf.SchedCLS, Instructions: callee, License: "MIT"},
			"probe":  {Name: "probe", Type: ebpf.Kprobe, Instructions: callee, License: "MIT"},
		},
		Maps: map[string]*ebpf.MapSpec{
			"vips":   {Name: "vips", Type: ebpf.Hash, KeySize: 8, ValueSize: 4, MaxEntries: 4, Key: testVIP(), Value: testU32},
			"flows":  {Name: "flows", Type: ebpf.LRUHash, KeySize: 8, ValueSize: 88, MaxEntries: 4, Key: testVIP(), Value: testEverything()},
			"hits":   {Name: "hits", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 2, Key: testU32, Value: testU64},
			"routes": {Name: "routes", Type: ebpf.LPMTrie, Flags: unix.BPF_F_NO_PREALLOC, KeySize: 8, ValueSize: 4, MaxEntries: 4},
			"ports":  {Name: "ports", Type: ebpf.DevMap, KeySize: 4, ValueSize: 8, MaxEntries: 4},
			"cpus":   {Name: "cpus", Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 4},
			"jmp": {
				Name: "jmp", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4,
				Contents: []ebpf.MapKV{{Key: uint32(0), Value: "callee"}},
			},
			"events": {Name: "events", Type: ebpf.RingBuf, MaxEntries: 4096},
			"todo":   {Name: "todo", Type: ebpf.Queue, ValueSize: 4, MaxEntries: 4, Value: testU32},
			"inner":  {Name: "inner", Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 4},
			"socks":  {Name: "socks", Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 4},
			".rodata": {
				Name: ".rodata", Type: ebpf.Array, KeySize: 4, ValueSize: 10, MaxEntries: 1,
				Contents: []ebpf.MapKV{{Key: uint32(0), Value: []byte("\x51\x11magic\x00\x00\x00")}},
				Value: &btf.Datasec{Name: ".rodata", Size: 10, Vars: []btf.VarSecinfo{
					{Type: port, Offset: 0, Size: 2}, {Type: name, Offset: 2, Size: 8},
				}},
			},
			".bss": {
				Name: ".bss", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
				Contents: []ebpf.MapKV{{Key: uint32(0), Value: make([]byte, 8)}},
				Value:    &btf.Datasec{Name: ".bss", Size: 8, Vars: []btf.VarSecinfo{{Type: hits, Size: 8}}},
			},
		},
	}
	spec.Variables = map[string]*ebpf.VariableSpec{
		"port": {Name: "port", SectionName: ".rodata", Value: []byte{0x51, 0x11}, Type: port},
		"name": {Name: "name", SectionName: ".rodata", Offset: 2, Value: []byte("magic\x00\x00\x00"), Type: name},
		"raw":  {Name: "raw", SectionName: ".data", Value: make([]byte, 12)},
	}
	return spec
}
