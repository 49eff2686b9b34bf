package bpf

import (
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// trie is an LPM trie. Its keys are a prefix length, in bits, and data of which
// only so many bits count. A lookup finds the entry with the longest prefix of its
// key, so that what a program changed need not be under the key that it used.
type trie struct {
	*entries
	masked  []byte
	lengths []uint32 // of initial prefixes, descending
}

// prefixLength is the size of the length that a key begins with.
const prefixLength = 4

func newTrie(name string, spec *ebpf.MapSpec, m *ebpf.Map, shape *corpus.Shape) (restorer, error) {
	t := &trie{masked: make([]byte, spec.KeySize)}
	e, err := newEntries(name, spec, m, shape)
	if err != nil {
		return nil, err
	}
	t.entries = e
	named := make(map[string]*saved, len(e.initial))
	for _, s := range e.initial {
		named[string(t.mask(s.key, length(s.key)))] = s
		t.lengths = append(t.lengths, length(s.key))
	}
	e.initial = named
	e.same = func(key []byte) []byte { return t.mask(key, length(key)) }
	slices.Sort(t.lengths)
	slices.Reverse(t.lengths)
	t.lengths = slices.Compact(t.lengths)
	return t, nil
}

func length(key []byte) uint32 { return binary.NativeEndian.Uint32(key) }

// mask returns the key of a prefix with that many bits, in the trie's memory.
func (t *trie) mask(key []byte, bits uint32) []byte {
	data := t.masked[prefixLength:]
	copy(data, key[prefixLength:])
	bits = min(bits, uint32(8*len(data)))
	binary.NativeEndian.PutUint32(t.masked, bits)
	if whole := int(bits / 8); whole < len(data) {
		data[whole] &= ^byte(0) << (8 - bits%8)
		clear(data[whole+1:])
	}
	return t.masked
}

// key puts back the entry with that key, and those with shorter prefixes of it.
func (t *trie) key(key []byte) error {
	bits := length(key)
	if bits > uint32(8*(len(key)-prefixLength)) {
		return nil // no entry can have it, and no lookup finds one
	}
	if _, ok := t.initial[string(t.mask(key, bits))]; !ok {
		if err := t.delete(key); err != nil {
			return err
		}
	}
	for _, n := range t.lengths {
		if n > bits {
			continue
		}
		if s, ok := t.initial[string(t.mask(key, n))]; ok {
			if err := t.bring(s); err != nil {
				return err
			}
		}
	}
	return nil
}
