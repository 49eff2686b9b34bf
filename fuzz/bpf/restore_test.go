package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

const net10 = 10 // 10.0.0.0 as bytes in memory, little endian

func TestMapsArePutBack(t *testing.T) {
	tests := []struct {
		name string
		in   *corpus.Input
		// same is set where the input changes nothing
		same bool
	}{
		{"array update", requests(request{0, opUpdate, 1, 0, 5, 7}), false},
		{"array write", requests(request{0, opWrite, 3, 0, 3, 7}), false},
		{"array add", requests(request{0, opAdd, 30, 0, 0, 7}), false},
		{"array outside", requests(request{0, opAdd, 2, 0, 256, 7}), true},
		{"array last", requests(request{0, opAdd, 2, 0, 255, 7}), false},
		{"percpu array", requests(request{1, opUpdate, 3, 0, 2, 7}, request{1, opAdd, 9, 0, 0, 1}), false},
		{"hash update", requests(request{2, opUpdate, 2, 0, 5, 7}), false},
		{"hash update of many", requests(request{2, opUpdate, 32, 0, 0, 7}), false},
		{"hash delete", requests(request{2, opDelete, 1, 0, 4, 0}), false},
		{"hash delete of many", requests(request{2, opDelete, 20, 0, 0, 0}), false},
		{"hash delete of none", requests(request{2, opDelete, 1, 0, 1000, 0}), true},
		{"hash write", requests(request{2, opWrite, 1, 0, 4, 7}), false},
		{"hash add to many", requests(request{2, opAdd, 32, 0, 0, 7}), false},
		{"hash all", requests(request{2, opDelete, 1, 0, 4, 0}, request{2, opUpdate, 9, 0, 100, 1}, request{2, opUpdate, 2, 0, 4, 3}, request{2, opAdd, 1, 0, 100, 3}), false},
		{"percpu hash", requests(request{3, opUpdate, 2, 0, 4, 7}, request{3, opDelete, 1, 0, 3, 0}), false},
		{"percpu hash write", requests(request{3, opWrite, 2, 0, 3, 7}, request{3, opAdd, 20, 0, 0, 9}), false},
		{"lru", requests(request{4, opUpdate, 32, 0, 4, 7}, request{4, opDelete, 1, 0, 3, 0}), false},
		{"trie update", requests(request{5, opUpdate, 2, 32, net10, 7}), false},
		{"trie update under another name", requests(request{5, opUpdate, 1, 8, net10 | 0x50000, 7}), false},
		{"trie delete under another name", requests(request{5, opDelete, 1, 8, net10 | 0x50000, 7}), false},
		{"trie write", requests(request{5, opWrite, 1, 32, net10 | 0x030100, 7}), false},
		{"trie write of the wider prefix", requests(request{5, opAdd, 1, 32, net10 | 0x030200, 7}), false},
		{"trie write after delete", requests(request{5, opDelete, 1, 16, net10 | 0x0100, 0}, request{5, opWrite, 1, 32, net10 | 0x0100, 7}), false},
		{"trie prefix too long", requests(request{5, opUpdate, 1, 33, net10, 7}), true},
		{"full hash, one replaced", requests(request{6, opDelete, 1, 0, 4, 0}, request{6, opUpdate, 1, 0, 9, 7}), false},
		{"full hash, all replaced", requests(request{6, opDelete, 4, 0, 3, 0}, request{6, opUpdate, 9, 0, 9, 7}), false},
		{"full hash, replaced before", requests(request{6, opDelete, 1, 0, 4, 0}, request{6, opUpdate, 1, 0, 9, 7}, request{6, opWrite, 1, 0, 3, 7}), false},
		{"dynamic hash, one replaced", requests(request{7, opDelete, 1, 0, 4, 0}, request{7, opUpdate, 1, 0, 9, 7}), false},
		{"dynamic hash, all replaced", requests(request{7, opDelete, 4, 0, 3, 0}, request{7, opUpdate, 9, 0, 9, 7}), false},
		{"full lru, all replaced", requests(request{8, opUpdate, 32, 0, 100, 7}), false},
		{"full lru, some replaced", requests(request{8, opUpdate, 8, 0, 100, 7}), false},
		{"queue push", requests(request{20, opUpdate, 0, 0, 0, 7}), false},
		{"queue pop", requests(request{20, opDelete, 0, 0, 0, 7}), false},
		{"queue overrun", requests(request{20, opUpdate, 0, 0, 0, 7}, request{20, opDelete, 0, 0, 0, 7}), false},
		{"stack push", requests(request{21, opUpdate, 0, 0, 0, 7}), false},
		{"stack pop", requests(request{21, opDelete, 0, 0, 0, 7}, request{21, opDelete, 0, 0, 0, 7}), false},
		{"ring buffer", requests(request{22, 0, 0, 0, 0, 7}), false},
		{"inner map update", requests(request{23, opUpdate, 0, 0, 2<<1 | 1, 7}), false},
		{"inner map write", requests(request{23, opWrite, 0, 0, 1 << 1, 7}), false},
		{"locked array", requests(request{24, 0, 0, 0, 3, 7}), false},
		{"variable", requests(request{25, 0, 0, 0, 0, 7}), false},
		{"initialized variable", requests(request{26, 0, 0, 0, 0, 9}), false},
		{"variable overrun", requests(request{27, 0, 0, 0, 9, 7}), false},
		{"large variable", requests(request{28, 0, 0, 0, 1000, 7}), false},
		{"beside a large variable", requests(request{29, 0, 0, 0, 0, 7}), false},
	}
	for _, program := range []string{"state", "tcstate"} {
		target := newState(t, program, stateSetup())
		isolated(t, func() {
			e := open(t, target)
			before := contents(t, e.hot)
			for _, tt := range tests {
				alone(t, e, tt.in)
				if changed := changes(before, contents(t, e.hot)); (len(changed) == 0) != tt.same {
					t.Errorf("%s, %s: the run changed %q", program, tt.name, changed)
				}
				if err := e.hot.state.restore(); err != nil {
					t.Errorf("%s, %s: %v", program, tt.name, err)
				}
				for _, c := range changes(before, contents(t, e.hot)) {
					t.Errorf("%s, %s: %s", program, tt.name, c)
				}
			}
		})
	}
}

// Entries that an input brings are there in its run and gone afterwards.
func TestEntriesOfInputsAreTakenBack(t *testing.T) {
	target := newState(t, "state", stateSetup())
	value := append(binary.NativeEndian.AppendUint64(nil, 55), 0, 0, 0, 0, 0, 0, 0, 0)
	trie := []byte{9, 0, 0, 0, 10, 0x80, 0, 0}
	isolated(t, func() {
		e := open(t, target)
		before := contents(t, e.hot)
		for _, entry := range []corpus.MapEntry{
			{Map: "array", Key: native(uint32(9)), Value: value},
			{Map: "percpu_array", Key: native(uint32(3)), Value: value},
			{Map: "hash", Key: native(uint32(3)), Value: value},
			{Map: "hash", Key: native(uint32(900)), Value: value},
			{Map: "percpu_hash", Key: native(uint32(3)), Value: value},
			{Map: "lru_hash", Key: native(uint32(700)), Value: value},
			{Map: "lpm_trie", Key: trie, Value: value},
			{Map: "full_hash", Key: native(uint32(3)), Value: value},
			{Map: "queue", Value: native(uint32(5))},
			{Map: "stack", Value: native(uint32(5))},
			{Map: "locked_array", Key: native(uint32(2)), Value: append(native(uint32(0)), native(uint32(5))...)},
			{Map: "inner0", Key: native(uint32(2)), Value: native(uint32(5))},
			{Map: ".bss", Key: native(uint32(0)), Value: native(uint32(5))},
		} {
			in := requests(request{Map: 99})
			in.Maps = []corpus.MapEntry{entry}
			out := alone(t, e, in)
			if changed := changes(before, contents(t, e.hot)); len(changed) == 0 {
				t.Errorf("%s: the entry is not there", entry.Map)
			}
			if entry.Key != nil {
				got, ok, err := out.Maps.Lookup(nil, entry.Map, entry.Key)
				if err != nil || !ok || string(got) != string(entry.Value) {
					t.Errorf("%s: the view has %x, %t, %v, want %x", entry.Map, got, ok, err, entry.Value)
				}
			}
			alone(t, e, requests(request{Map: 99}))
			for _, c := range changes(before, contents(t, e.hot)) {
				t.Errorf("%s: %s", entry.Map, c)
			}
		}
	})
}
