package mutate

import (
	"bytes"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// fuzzedShape has a map of which inputs bring entries, and one that they leave alone.
func fuzzedShape() *corpus.Shape {
	return &corpus.Shape{
		Packet: corpus.Bounds{Min: 14, Max: 128},
		Maps: []corpus.MapShape{
			{Name: "fixed", Kind: "hash", KeySize: 4, ValueSize: 4},
			{
				Name: "sessions", Kind: "hash", KeySize: 8, ValueSize: 8, Keys: [][]byte{{1, 2, 3, 4, 0, 0, 6, 0}},
				Fuzz: &corpus.MapFuzz{
					Entries: 3,
					Key: []corpus.Field{
						{Name: "addr", Size: 4, Big: true},
						{Name: "proto", Offset: 6, Size: 1, Min: 6, Max: 17, Values: []uint64{6, 17}, Closed: true},
					},
					Value: []corpus.Field{
						{Name: "state", Size: 4, Max: 5},
						{Name: "count", Offset: 4, Size: 2, Min: 10},
					},
				},
			},
		},
	}
}

// room is an input with room for one packet, as batches have it.
func room() *corpus.Input {
	return &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 0, 128)}}[:0]}
}

func TestMapEntriesObeyTheirBounds(t *testing.T) {
	shape := fuzzedShape()
	m := New(shape, Options{Seed: 1})
	parent := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60)}}}
	other := parent
	states, counts, full, dropped := map[uint64]bool{}, map[int]bool{}, 0, 0
	for range 20_000 {
		child := room()
		m.Mutate(child, parent, other)
		if err := shape.Check(child); err != nil {
			t.Fatal(err)
		}
		for i := range child.Maps {
			states[shape.Maps[1].Fuzz.Value[0].Load(child.Maps[i].Value)] = true
			for k := range i {
				if bytes.Equal(child.Maps[k].Key, child.Maps[i].Key) {
					t.Fatalf("two entries under key %x", child.Maps[i].Key)
				}
			}
		}
		counts[len(child.Maps)] = true
		if len(child.Maps) == 3 {
			full++
		}
		if len(child.Maps) < len(parent.Maps) {
			dropped++
		}
		parent, other = child.Clone(), parent
	}
	if len(states) != 6 || len(counts) != 4 || full == 0 || dropped == 0 {
		t.Errorf("states %v, numbers of entries %v, %d times full, %d times fewer than before", states, counts, full, dropped)
	}
}

// TestMapEntriesDoNotAllocate bounds what entries cost: those that change are written
// to memory that is taken in blocks, since parents keep what they have.
func TestMapEntriesDoNotAllocate(t *testing.T) {
	shape := fuzzedShape()
	m := New(shape, Options{Seed: 1})
	e := FreshEntry(&shape.Maps[1], []byte{1, 2, 3, 4, 0, 0, 6, 0})
	parent := &corpus.Input{Maps: []corpus.MapEntry{e}, Steps: []corpus.Step{{Packet: make([]byte, 60)}}}
	child := room()
	const runs = 5000
	// AllocsPerRun rounds down: blocks are rarer than children.
	if n := testing.AllocsPerRun(runs, func() { m.Mutate(child, parent, parent) }); n != 0 {
		t.Errorf("%v allocations for each child", n)
	}
}

// TestMapEntriesAreShared sees that no mutation writes what its parents have.
func TestMapEntriesAreShared(t *testing.T) {
	shape := fuzzedShape()
	m := New(shape, Options{Seed: 2})
	e := FreshEntry(&shape.Maps[1], nil)
	parent := &corpus.Input{Maps: []corpus.MapEntry{e}, Steps: []corpus.Step{{Packet: make([]byte, 60)}}}
	before := corpus.Encode(parent)
	changed := 0
	for range 20_000 {
		child := room()
		m.Mutate(child, parent, parent)
		if len(child.Maps) != 1 || !bytes.Equal(child.Maps[0].Value, e.Value) {
			changed++
		}
	}
	if !bytes.Equal(before, corpus.Encode(parent)) {
		t.Error("a parent's entries were written")
	}
	if changed < 1000 || changed > 15_000 {
		t.Errorf("%d of 20000 children have other entries", changed)
	}
}

func TestFreshEntryIsLegal(t *testing.T) {
	shape := fuzzedShape()
	e := FreshEntry(&shape.Maps[1], nil)
	if err := shape.Check(&corpus.Input{Maps: []corpus.MapEntry{e}}); err != nil {
		t.Error(err)
	}
	if e.Key[6] != 6 || shape.Maps[1].Fuzz.Value[1].Load(e.Value) != 10 {
		t.Errorf("key %x value %x are not the smallest legal ones", e.Key, e.Value)
	}
}

func TestConformDropsIllegalEntries(t *testing.T) {
	shape := fuzzedShape()
	good := FreshEntry(&shape.Maps[1], nil)
	with := func(change func(e *corpus.MapEntry)) corpus.MapEntry {
		e := FreshEntry(&shape.Maps[1], nil)
		change(&e)
		return e
	}
	for _, tt := range []struct {
		name string
		bad  corpus.MapEntry
	}{
		{"unknown map", with(func(e *corpus.MapEntry) { e.Map = "none" })},
		{"short key", with(func(e *corpus.MapEntry) { e.Key = e.Key[:4] })},
		{"long value", with(func(e *corpus.MapEntry) { e.Value = make([]byte, 9) })},
		{"not listed", with(func(e *corpus.MapEntry) { e.Key[6] = 7 })},
		{"above max", with(func(e *corpus.MapEntry) { e.Value[2] = 1 })},
		{"below min", with(func(e *corpus.MapEntry) { e.Value[4] = 9 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := []corpus.MapEntry{tt.bad, good}
			in := &corpus.Input{Maps: list, Steps: []corpus.Step{{Packet: make([]byte, 60)}}}
			if !Conform(shape, in) {
				t.Error("nothing is said to be lost")
			}
			if len(in.Maps) != 1 || !bytes.Equal(in.Maps[0].Value, good.Value) || list[0].Map != tt.bad.Map {
				t.Errorf("left are %v", in.Maps)
			}
		})
	}
}

// TestKeysMoveBetweenPacketsAndEntries has a packet whose addresses are recognized.
func TestKeysMoveBetweenPacketsAndEntries(t *testing.T) {
	shape := fuzzedShape()
	e := FreshEntry(&shape.Maps[1], []byte{0xde, 0xad, 0xbe, 0xef, 0, 0, 17, 0})
	for _, name := range []string{"map-key-to-packet", "map-key-from-packet"} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(operators(), func(o operator) bool { return o.name == name })
			m := New(shape, Options{Seed: 3})
			found := 0
			for range 2000 {
				child := &corpus.Input{Maps: []corpus.MapEntry{e}, Steps: []corpus.Step{{Packet: tcpPacket()}}}
				copy(child.Steps[0].Packet[26:], "\x0a\x09\x08\x07")
				m.begin(child, nil)
				if !operators()[i].apply(m, &child.Steps[0]) {
					continue
				}
				if err := shape.Check(child); err != nil {
					t.Fatal(err)
				}
				if name == "map-key-to-packet" && bytes.Equal(child.Steps[0].Packet[26:30], e.Key[:4]) ||
					name == "map-key-from-packet" && string(child.Maps[0].Key[:4]) == "\x0a\x09\x08\x07" {
					found++
				}
			}
			if found < 50 {
				t.Errorf("the source address and the key's were made equal %d times in 2000", found)
			}
		})
	}
}
