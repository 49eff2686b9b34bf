package mutate

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// maxEntry bounds a dictionary entry: longer ones are no operand of a comparison.
const maxEntry = 128

// dictionary holds byte strings, and integers by width for fields of that width.
type dictionary struct {
	all [][]byte
	// words[w] are big-endian integers of w bytes; w is 1, 2, 4, 6 or 8.
	words [9][]uint64
	// addresses are the entries of 16 bytes.
	addresses [][]byte
}

// add takes entries in. An integer that fits a narrower field is offered there
// too, whichever byte order it is in: compilers widen what programs compare.
func (d *dictionary) add(entries [][]byte) {
	for _, e := range entries {
		if len(e) == 0 || len(e) > maxEntry || slices.ContainsFunc(d.all, func(o []byte) bool { return bytes.Equal(o, e) }) {
			continue
		}
		d.all = append(d.all, e)
		switch len(e) {
		case 1, 2, 4, 6, 8:
			d.addInteger(e)
		case 16:
			d.addresses = append(d.addresses, e)
			d.addWord(8, binary.BigEndian.Uint64(e))
			d.addWord(8, binary.BigEndian.Uint64(e[8:]))
		}
	}
}

func (d *dictionary) addInteger(e []byte) {
	big, little := uint64(0), uint64(0)
	for i, c := range e {
		big = big<<8 | uint64(c)
		little |= uint64(c) << (8 * i)
	}
	d.addWord(len(e), big)
	for _, w := range []int{1, 2, 4, 6} {
		if w >= len(e) {
			break
		}
		for _, v := range []uint64{big, little} {
			if v>>(8*w) == 0 {
				d.addWord(w, v)
			}
		}
	}
}

func (d *dictionary) addWord(width int, v uint64) {
	if !slices.Contains(d.words[width], v) {
		d.words[width] = append(d.words[width], v)
	}
}

// dictionaryOverwrite writes an entry over bytes of the packet.
func dictionaryOverwrite(m *Mutator, s *corpus.Step) bool {
	e := m.dict.all[m.rand.below(len(m.dict.all))]
	if len(e) > len(s.Packet) {
		return false
	}
	at := m.offset(len(s.Packet) - len(e) + 1)
	copy(s.Packet[at:], e)
	m.changed(s, at, len(e))
	return true
}

// dictionaryInsert makes room for an entry.
func dictionaryInsert(m *Mutator, s *corpus.Step) bool {
	e := m.dict.all[m.rand.below(len(m.dict.all))]
	at := m.offset(len(s.Packet) + 1)
	if !m.open(s, at, len(e)) {
		return false
	}
	copy(s.Packet[at:], e)
	return true
}
