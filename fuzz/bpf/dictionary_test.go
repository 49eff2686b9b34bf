package bpf

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func TestDictionaryHasMembersOfContents(t *testing.T) {
	u32, u16 := &btf.Int{Size: 4}, &btf.Int{Size: 2}
	key := &btf.Struct{Size: 8, Members: []btf.Member{{Name: "addr", Type: u32}, {Name: "port", Type: u16, Offset: 32}}}
	d := dictionary{seen: map[string]bool{}}
	d.contents(&ebpf.MapSpec{
		Key: key, KeySize: 8, ValueSize: 4,
		Contents: []ebpf.MapKV{{Key: []byte{10, 9, 8, 7, 1, 0xbb, 6, 0}, Value: uint32(0x01020304)}, {Key: []byte{1}}},
	})
	for _, want := range [][]byte{{10, 9, 8, 7, 1, 0xbb, 6, 0}, {10, 9, 8, 7}, {1, 0xbb}, bytesOf(uint32(0x01020304))} {
		if !slices.ContainsFunc(d.words, func(w []byte) bool { return bytes.Equal(w, want) }) {
			t.Errorf("% x is missing in % x", want, d.words)
		}
	}
}

func TestVariablesAreInTheirSection(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("../../examples/conntrack/conntrack.o")
	if err != nil {
		t.Fatal(err)
	}
	before := spec.Copy()
	if err := setVariables(spec, map[string]any{"inside_net": "10.0.0.0"}); err != nil {
		t.Fatal(err)
	}
	want := []byte{10, 0, 0, 0}
	words := newDictionary(spec, []*ebpf.ProgramSpec{spec.Programs["conntrack"]})
	if !slices.ContainsFunc(words, func(w []byte) bool { return bytes.Equal(w, want) }) {
		t.Errorf("% x is no word of % x", want, words)
	}
	section := spec.Variables["inside_net"].SectionName
	if !bytes.Contains(bytesOf(spec.Maps[section].Contents[0].Value), want) {
		t.Error("the section does not have the variable's value")
	}
	if bytes.Contains(bytesOf(before.Maps[section].Contents[0].Value), want) {
		t.Error("a copy of the object has it too")
	}
}
