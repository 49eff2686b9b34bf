package mutate

import (
	"bytes"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// entryPool is where new map entries lie. Entries are shared by inputs and never
// written again once an operator has returned: a change makes a copy of the list and
// of the one entry. An input with entries takes a system call for each of them, so
// allocating a block now and then does not show; memory goes with the last input
// that uses it.
type entryPool struct {
	bytes []byte
	list  []corpus.MapEntry
}

const (
	poolBytes = 64 << 10
	poolList  = 1 << 10
)

// take returns n zero bytes, without room behind them.
func (p *entryPool) take(n int) []byte {
	if n > len(p.bytes) {
		p.bytes = make([]byte, max(n, poolBytes))
	}
	b := p.bytes[:n:n]
	p.bytes = p.bytes[n:]
	return b
}

func (p *entryPool) clone(b []byte) []byte {
	c := p.take(len(b))
	copy(c, b)
	return c
}

// copyOf returns a copy of entries with n more at its end.
func (p *entryPool) copyOf(entries []corpus.MapEntry, n int) []corpus.MapEntry {
	n += len(entries)
	if n > len(p.list) {
		p.list = make([]corpus.MapEntry, max(n, poolList))
	}
	list := p.list[:n:n]
	p.list = p.list[n:]
	copy(list, entries)
	return list
}

// fuzzedMaps lists the maps whose entries inputs bring.
func fuzzedMaps(shape *corpus.Shape) []*corpus.MapShape {
	var list []*corpus.MapShape
	for i := range shape.Maps {
		if f := shape.Maps[i].Fuzz; f != nil && f.Entries > 0 {
			list = append(list, &shape.Maps[i])
		}
	}
	return list
}

// FreshEntry returns an entry of a map under the legal key that is nearest to key,
// field by field, with the smallest legal value in each field. A nil key is all zero.
func FreshEntry(m *corpus.MapShape, key []byte) corpus.MapEntry {
	e := corpus.MapEntry{Map: m.Name, Key: make([]byte, m.KeySize), Value: make([]byte, m.ValueSize)}
	copy(e.Key, key)
	if m.Fuzz != nil {
		conformFields(m.Fuzz.Key, e.Key)
		conformFields(m.Fuzz.Value, e.Value)
	}
	return e
}

// conformFields makes each field of b legal.
func conformFields(fields []corpus.Field, b []byte) {
	for i := range fields {
		if f := &fields[i]; inside(f, len(b)) {
			if v := getField(b, f); v != f.Nearest(v) {
				putField(b, f, f.Nearest(v))
			}
		}
	}
}

// dropIllegal takes out the entries that the shape does not allow, without writing
// the list that is shared; it reports whether there were any.
func dropIllegal(shape *corpus.Shape, in *corpus.Input) bool {
	if len(in.Maps) == 0 || shape.CheckEntries(in) == nil {
		return false
	}
	var list []corpus.MapEntry
	for _, e := range in.Maps {
		one := corpus.Input{Maps: append(list, e)}
		if shape.CheckEntries(&one) == nil {
			list = one.Maps
		}
	}
	in.Maps = list
	return true
}

// entriesOf counts the child's entries of a map.
func (m *Mutator) entriesOf(name string) int {
	n := 0
	for i := range m.in.Maps {
		if m.in.Maps[i].Map == name {
			n++
		}
	}
	return n
}

// has reports whether the child has an entry with that key.
func (m *Mutator) has(name string, key []byte) bool {
	return slices.ContainsFunc(m.in.Maps, func(e corpus.MapEntry) bool { return e.Map == name && bytes.Equal(e.Key, key) })
}

// pickEntry chooses an entry of the child whose map inputs may fill; -1 for none.
func (m *Mutator) pickEntry() (int, *corpus.MapShape) {
	n := len(m.in.Maps)
	if n == 0 {
		return -1, nil
	}
	i := m.rand.below(n)
	for _, shape := range m.maps {
		if e := &m.in.Maps[i]; shape.Name == e.Map && len(e.Key) == shape.KeySize && len(e.Value) == shape.ValueSize {
			return i, shape
		}
	}
	return -1, nil
}

// mapAdd adds an entry: a copy of another one of the map with another key, one with
// a key that the map has anyway, or a fresh one with a key from the packet.
func mapAdd(m *Mutator, s *corpus.Step) bool {
	shape := m.maps[m.rand.below(len(m.maps))]
	if m.entriesOf(shape.Name) >= shape.Fuzz.Entries {
		return false
	}
	key, value := m.entries.take(shape.KeySize), m.entries.take(shape.ValueSize)
	if i, from := m.pickEntry(); i >= 0 && from == shape && m.rand.oneIn(2) {
		copy(key, m.in.Maps[i].Key)
		copy(value, m.in.Maps[i].Value)
	}
	r := m.rand.next()
	switch {
	case r&3 == 0 && len(shape.Keys) > 0:
		copy(key, shape.Keys[m.rand.below(len(shape.Keys))])
	case r&3 == 1:
		for i := range shape.Fuzz.Key {
			m.fromPacket(s, &shape.Fuzz.Key[i], key)
		}
	case len(shape.Fuzz.Key) > 0:
		m.choose(&shape.Fuzz.Key[m.rand.below(len(shape.Fuzz.Key))], key)
	}
	if len(shape.Fuzz.Value) > 0 {
		m.choose(&shape.Fuzz.Value[m.rand.below(len(shape.Fuzz.Value))], value)
	}
	return m.add(shape, key, value)
}

// add puts an entry at the end of the child's, where there is none with its key.
func (m *Mutator) add(shape *corpus.MapShape, key, value []byte) bool {
	conformFields(shape.Fuzz.Key, key)
	conformFields(shape.Fuzz.Value, value)
	if m.has(shape.Name, key) {
		return false
	}
	list := m.entries.copyOf(m.in.Maps, 1)
	list[len(list)-1] = corpus.MapEntry{Map: shape.Name, Key: key, Value: value}
	m.in.Maps = list
	return true
}

// choose writes another value into a field; the caller makes it legal.
func (m *Mutator) choose(f *corpus.Field, b []byte) {
	if inside(f, len(b)) {
		putField(b, f, clamp(f, m.contextValue(f, getField(b, f))))
	}
}

// mapDrop takes an entry out.
func mapDrop(m *Mutator, _ *corpus.Step) bool {
	i, _ := m.pickEntry()
	if i < 0 {
		return false
	}
	list := m.entries.copyOf(m.in.Maps[:i], len(m.in.Maps)-i-1)
	copy(list[i:], m.in.Maps[i+1:])
	m.in.Maps = list
	return true
}

// mapSplice takes an entry of the second parent.
func mapSplice(m *Mutator, _ *corpus.Step) bool {
	if m.other == nil || len(m.other.Maps) == 0 {
		return false
	}
	e := &m.other.Maps[m.rand.below(len(m.other.Maps))]
	for _, shape := range m.maps {
		if shape.Name == e.Map && len(e.Key) == shape.KeySize && len(e.Value) == shape.ValueSize {
			return m.entriesOf(e.Map) < shape.Fuzz.Entries && m.add(shape, m.entries.clone(e.Key), m.entries.clone(e.Value))
		}
	}
	return false
}

// rekey gives an entry a key that change makes of a copy of its own.
func (m *Mutator) rekey(change func(shape *corpus.MapShape, key []byte)) bool {
	i, shape := m.pickEntry()
	if i < 0 || len(shape.Fuzz.Key) == 0 {
		return false
	}
	key := m.entries.clone(m.in.Maps[i].Key)
	change(shape, key)
	conformFields(shape.Fuzz.Key, key)
	if m.has(shape.Name, key) {
		return false
	}
	m.in.Maps = m.entries.copyOf(m.in.Maps, 0)
	m.in.Maps[i].Key = key
	return true
}

// mapKey changes a field of an entry's key.
func mapKey(m *Mutator, _ *corpus.Step) bool {
	return m.rekey(func(shape *corpus.MapShape, key []byte) {
		m.choose(&shape.Fuzz.Key[m.rand.below(len(shape.Fuzz.Key))], key)
	})
}

// mapValue changes a field of an entry's value.
func mapValue(m *Mutator, _ *corpus.Step) bool {
	i, shape := m.pickEntry()
	if i < 0 || len(shape.Fuzz.Value) == 0 {
		return false
	}
	f := &shape.Fuzz.Value[m.rand.below(len(shape.Fuzz.Value))]
	if !inside(f, shape.ValueSize) {
		return false
	}
	old := m.in.Maps[i].Value
	v := clamp(f, m.contextValue(f, getField(old, f)))
	if v == getField(old, f) {
		return false
	}
	value := m.entries.clone(old)
	putField(value, f, v)
	conformFields(shape.Fuzz.Value, value) // fields of a union overlap
	m.in.Maps = m.entries.copyOf(m.in.Maps, 0)
	m.in.Maps[i].Value = value
	return true
}

// mapKeyFromPacket copies bytes of the packet into a field of an entry's key.
func mapKeyFromPacket(m *Mutator, s *corpus.Step) bool {
	return m.rekey(func(shape *corpus.MapShape, key []byte) {
		m.fromPacket(s, &shape.Fuzz.Key[m.rand.below(len(shape.Fuzz.Key))], key)
	})
}

// mapKeyToPacket copies a field of an entry's key into the packet.
func mapKeyToPacket(m *Mutator, s *corpus.Step) bool {
	i, shape := m.pickEntry()
	if i < 0 || len(shape.Fuzz.Key) == 0 {
		return false
	}
	f := &shape.Fuzz.Key[m.rand.below(len(shape.Fuzz.Key))]
	at := m.alike(s, f.Size)
	if !inside(f, shape.KeySize) || at < 0 {
		return false
	}
	from, to := m.in.Maps[i].Key[f.Offset:f.Offset+f.Size], s.Packet[at:at+f.Size]
	if m.rand.oneIn(4) {
		copyReversed(to, from) // the program turns the byte order
	} else {
		copy(to, from)
	}
	m.changed(s, at, f.Size)
	return true
}

func (m *Mutator) fromPacket(s *corpus.Step, f *corpus.Field, key []byte) {
	at := m.alike(s, f.Size)
	if at < 0 || !inside(f, len(key)) {
		return
	}
	from, to := s.Packet[at:at+f.Size], key[f.Offset:f.Offset+f.Size]
	if m.rand.oneIn(4) {
		copyReversed(to, from)
	} else {
		copy(to, from)
	}
}

// alike returns where the packet has a field of size whole bytes, or any size bytes
// where it has no such field at hand; -1 where it is too short.
func (m *Mutator) alike(s *corpus.Step, size int) int {
	if len(s.Packet) < size {
		return -1
	}
	if !m.shape.Payload {
		for range maxTries {
			if h, f := m.pickField(s); f != nil && f.Bit&7 == 0 && f.Bits == 8*size && h.Off+f.Bit>>3+size <= len(s.Packet) {
				return h.Off + f.Bit>>3
			}
		}
	}
	return m.offset(len(s.Packet) - size + 1)
}

func copyReversed(dst, src []byte) {
	for i := range dst {
		dst[i] = src[len(src)-1-i]
	}
}
