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
